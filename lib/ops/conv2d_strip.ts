/**
 * Stride-1 convolutions wider than one tap: kernels that load inputs once for all taps of a kernel row.
 *
 * @module
 */

import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import stripSource from "../../kernels/conv2d_strip.wgsl" with { type: "text" };
import outputSource from "../../kernels/gather_output.wgsl" with { type: "text" };
import orderSource from "../../kernels/workgroup_order.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/conv2d_weight_gradient_strip.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { reducePartials } from "./column_sum.ts";
import { type GatherOperands, type Geometry, type GradientOperands, type Side, sidesOf } from "./conv2d_geometry.ts";
import { widthOf } from "./elementwise.ts";
import { columnWidth, columnWidths, lanesOf, orderOf, readAsImages } from "./gemm.ts";
import { bindingsOf, type Moments } from "./moments.ts";
import { type Dispatch, scratch, type Target } from "./operation.ts";
import { distinct, type Variant } from "./product.ts";

/**
 * Output positions of a workgroup: more reuse the weights more often, and make a longer kernel, which leaves the
 * processor's cache of instructions the sooner the more channels a load has.
 */
const POSITIONS = { 4: [32, 64, 16], 1: [64, 32, 128] };
/** Widest row of them. */
const WIDEST_TILES = [32, 16];
/** Output positions that the weight gradient takes at a time. */
const WIDEST_GRADIENT_TILES = [16, 8, 32];
/** Workgroups that the weight gradient aims for, and the fewest positions worth a split of their own. */
const WEIGHT_GRADIENT_GROUPS = [256, 128, 64];
const LEAST_SPLIT_POSITIONS = 256;

/** Whether these kernels apply. */
export function sharesInputs({ stride, dilation, kw }: Geometry): boolean {
  return stride === 1 && dilation === 1 && kw > 1 && kw <= 7;
}

/** Width of a tile: the widest one, up to `widest`, that wastes the least of a row of `width`. */
function tileWidth(width: number, widest: number): number {
  let best = Math.min(width, widest);
  for (let candidate = best; candidate >= Math.ceil(widest / 2) && candidate > 0; candidate--) {
    if (Math.ceil(width / candidate) * candidate < Math.ceil(width / best) * best) best = candidate;
  }
  return best;
}

/** How a workgroup cuts an output up: TR rows of TW positions, NV columns to a lane. */
interface StripTile {
  readonly TR: number;
  readonly TW: number;
  readonly NV: number;
}

/** Ways to compute an output, or an input gradient from the output's. */
export function stripGather(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Variant[] {
  const { to, ck, cn } = sidesOf(geometry, operands.inputGradient);
  const choices = POSITIONS[widthOf(ck)];
  const tileOf = (positions: number, widest: number, NV: number): StripTile => {
    const TW = tileWidth(to.w, widest);
    return { TW, TR: Math.max(1, Math.min(to.h, Math.floor(positions / TW))), NV };
  };
  const [width, ...widths] = columnWidths(cn, lanesOf(target.subgroupSize).S);
  const tiles = [
    ...WIDEST_TILES.flatMap((widest) => choices.map((positions) => tileOf(positions, widest, width))),
    ...widths.map((NV) => tileOf(choices[0], WIDEST_TILES[0], NV)),
  ];
  return distinct(tiles.map((tile) => ({
    name: `strip ${tile.TR}x${tile.TW} by ${tile.NV}`,
    blocks: blocksOf(geometry.n, to, tile).tiles,
    lower: (moments) => [lowerGather(label, geometry, target, operands, tile, moments)],
  })));
}

/** Tiles that cover `n` images. */
function blocksOf(n: number, { h, w }: Side, { TR, TW }: StripTile) {
  const tilesW = Math.ceil(w / TW), tilesH = Math.ceil(h / TR);
  return { tilesW, tilesH, tiles: n * tilesH * tilesW };
}

function lowerGather(
  label: string,
  geometry: Geometry,
  target: Target,
  operands: GatherOperands,
  tile: StripTile,
  moments?: Moments,
): Dispatch {
  const { TR, TW, NV } = tile;
  const { n, groups, kh, kw } = geometry;
  const { input, weight, output, bias, inputGradient, accumulate } = operands;
  const lanes = lanesOf(target.subgroupSize);
  const { from, to, ck, cn } = sidesOf(geometry, inputGradient);
  const strip = TW + kw - 1;
  const columnBlocks = Math.ceil(cn / (lanes.S * NV));
  const { tilesW, tilesH, tiles } = blocksOf(n, to, tile);
  const order = orderOf({ blocks: tiles, columnBlocks: columnBlocks * groups, weights: sizeOf(weight.shape) });
  return {
    label,
    source: operandsSource + orderSource + outputSource + stripSource,
    constants: {
      ...lanes,
      AV: ck % 4 === 0 ? 4 : 1,
      NV,
      TR,
      TW,
      STRIP: strip,
      REGISTERS: Math.ceil(TR * strip / lanes.S),
      CK: ck,
      CKT: ck * groups,
      CN: cn,
      CNT: cn * groups,
      ...order.constants,
      COLUMN_BLOCKS: columnBlocks,
      KH: kh,
      KW: kw,
      PAD: geometry.padding,
      SOURCE_H: from.h,
      SOURCE_W: from.w,
      OUTPUT_H: to.h,
      OUTPUT_W: to.w,
      TILES: tiles,
      TILES_H: tilesH,
      TILES_W: tilesW,
      INPUT_GRADIENT: inputGradient ? 1 : 0,
      ACCUMULATE: accumulate ? 1 : 0,
      PACK: 1,
      BIAS: bias ? 1 : 0,
      MOMENTS: moments ? 1 : 0,
    },
    bindings: [input, weight, output, ...bias ? [bias] : [], ...moments ? bindingsOf(moments) : []],
    images: readAsImages(kh * strip / TW * columnBlocks, tiles),
    groups: order.groups,
  };
}

/** How a weight gradient is cut up: MR channels of TW positions at a time, parts of about so many workgroups. */
interface StripGradientTile {
  readonly MR: number;
  readonly TW: number;
  readonly workgroups: number;
}

/** Ways to compute a weight gradient. */
export function stripWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  operands: GradientOperands,
): Variant[] {
  const ck = geometry.cin / geometry.groups;
  const channels = ck % 4 === 0 ? [16, 12, 8, 4] : [7, 5, 3, 6, 2, 1];
  const [MR, fewer] = channels.filter((size) => ck % size === 0);
  const [widest, ...others] = WIDEST_GRADIENT_TILES.map((most) => tileWidth(geometry.ow, most));
  const [workgroups, ...lesser] = WEIGHT_GRADIENT_GROUPS;
  const tiles: StripGradientTile[] = [
    { MR, TW: widest, workgroups },
    ...others.map((TW) => ({ MR, TW, workgroups })),
    ...fewer === undefined ? [] : [{ MR: fewer, TW: widest, workgroups }],
    ...lesser.map((fewerGroups) => ({ MR, TW: widest, workgroups: fewerGroups })),
  ];
  return distinct(tiles.map((tile) => {
    const ranges = rangesOf(geometry, target, tile);
    return {
      name: `strip ${tile.MR}x${tile.TW} in ${ranges.splits}`,
      lower: () => lowerWeightGradient(name, geometry, target, operands, tile, ranges),
    };
  }));
}

/** Ranges of image rows that make about as many workgroups as wanted. */
function rangesOf(
  { n, oh, ow, kh, cin, cout, groups }: Geometry,
  target: Target,
  { MR, workgroups }: StripGradientTile,
) {
  const { S } = lanesOf(target.subgroupSize);
  const columnBlocks = Math.ceil(cout / groups / (S * columnWidth(cout / groups, S)));
  const imageRows = n * oh;
  const groupsOfOneSplit = kh * (cin / groups / MR) * columnBlocks * groups;
  const wanted = Math.min(
    Math.ceil(workgroups / groupsOfOneSplit),
    Math.ceil(imageRows * ow / LEAST_SPLIT_POSITIONS),
    imageRows,
  );
  const splitRows = Math.ceil(imageRows / wanted);
  return { columnBlocks, imageRows, splitRows, splits: Math.ceil(imageRows / splitRows) };
}

/** The product, then the sum of its parts where there are several. */
function lowerWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  { input, dOutput, slot }: GradientOperands,
  { MR, TW }: StripGradientTile,
  { columnBlocks, imageRows, splitRows, splits }: ReturnType<typeof rangesOf>,
): Dispatch[] {
  const { h, w, cin, cout, kh, kw, oh, ow, groups } = geometry;
  const lanes = lanesOf(target.subgroupSize);
  const ck = cin / groups, cn = cout / groups;
  const AV = ck % 4 === 0 ? 4 : 1;
  const NV = columnWidth(cn, lanes.S);
  const direct = splits === 1 && !slot.accumulate;
  const partial = direct ? slot.tensor : scratch(`${name} weight partials`, [splits, kh, kw, ck, cout]);
  const dispatch: Dispatch = {
    label: `${name} weight gradient`,
    source: operandsSource + weightGradientSource,
    constants: {
      ...lanes,
      AV,
      MR,
      NV,
      TW,
      // Positions are taken by fours.
      REGISTERS: Math.ceil((4 * Math.ceil(TW / 4) + kw - 1) / lanes.S),
      CK: ck,
      CKT: cin,
      CN: cn,
      CNT: cout,
      COLUMN_BLOCKS: columnBlocks,
      KH: kh,
      KW: kw,
      PAD: geometry.padding,
      SOURCE_H: h,
      SOURCE_W: w,
      OUTPUT_H: oh,
      OUTPUT_W: ow,
      IMAGE_ROWS: imageRows,
      SPLIT_ROWS: splitRows,
    },
    bindings: [input, dOutput, partial],
    images: readAsImages(kh * (TW + kw - 1) / TW * columnBlocks, kh * ck / MR),
    groups: [kh * (ck / MR), columnBlocks * groups, splits],
  };
  return direct ? [dispatch] : [dispatch, reducePartials(`${name} weight reduction`, partial, splits, slot)];
}
