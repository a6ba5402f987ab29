/**
 * Stride-1 convolutions of three taps a row by Winograd's minimal filtering, F(4, 3) and for weight gradients F(3, 4):
 * half the multiplications of direct sums. Along rows alone: tiles of 4 x 4 would save more, but on a CPU adapter their
 * values go through memory.
 *
 * Against float64, norm against norm, errors are 1 to 4 times those of direct sums, and at most 2e-6 over 4,608 terms:
 * `tests/bench/results/winograd.md`, which also has the gains behind the rules below.
 *
 * @module
 */

import weightSource from "../../kernels/winograd_weight.wgsl" with { type: "text" };
import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import pointsSource from "../../kernels/winograd.wgsl" with { type: "text" };
import gatherSource from "../../kernels/conv2d_winograd.wgsl" with { type: "text" };
import outputSource from "../../kernels/gather_output.wgsl" with { type: "text" };
import orderSource from "../../kernels/workgroup_order.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/conv2d_winograd_weight_gradient.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { reducePartials } from "./column_sum.ts";
import {
  flopsOf,
  type GatherOperands,
  type Geometry,
  type GradientOperands,
  type Side,
  sidesOf,
} from "./conv2d_geometry.ts";
import { loop, widthOf } from "./elementwise.ts";
import { columnWidth, lanesOf, orderOf, readAsImages, worthLongText } from "./gemm.ts";
import { bindingsOf, type Moments } from "./moments.ts";
import { type Dispatch, scratch, type Target } from "./operation.ts";
import { distinct, type Variant } from "./product.ts";

/** Output positions of a tile, and points at which its polynomials are known. */
const TILE = 4, POINTS = 6;
/** How often a kernel row reads an input: neighbouring tiles share two. */
const READS = POINTS / TILE;
/** Largest subgroup whose tiles make a kernel text of bearable length. */
const MOST_LANES = 16;
/**
 * Tiles of a workgroup, those of wide columns and of narrow ones: more load weights less often, and make a longer loop,
 * which leaves the processor's cache of instructions.
 */
const WIDE_TILES = [8, 16, 32], NARROW_TILES = [16, 8, 32];
/** Channels between which outputs and input gradients gain, as measured: beyond, direct kernels are quicker. */
const LEAST_CHANNELS = 16, MOST_CHANNELS = 128;
/** Workgroups that the weight gradient aims for, and the fewest tiles worth a split of their own. */
const WEIGHT_GRADIENT_GROUPS = [128, 256];
const LEAST_SPLIT_TILES = 64;

/** Whether these kernels apply. */
export function suitsWinograd(geometry: Geometry, { subgroupSize }: Target): boolean {
  const { stride, dilation, padding, kw, groups } = geometry;
  return stride === 1 && dilation === 1 && kw === 3 && padding < kw && groups === 1 &&
    subgroupSize > 0 && subgroupSize <= MOST_LANES;
}

/** Whether outputs and input gradients gain: where channels are many, twice as many weights to load cost more. */
export function outputsGain(geometry: Geometry): boolean {
  const { cin, cout } = geometry;
  return Math.min(cin, cout) >= LEAST_CHANNELS && Math.max(cin, cout) <= MOST_CHANNELS && weightGradientsGain(geometry);
}

/** Whether weight gradients gain. */
export function weightGradientsGain(geometry: Geometry): boolean {
  return worthLongText(flopsOf(geometry));
}

/** Ways to compute an output, or an input gradient from the output's. */
export function winogradGather(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Variant[] {
  const { S } = lanesOf(target.subgroupSize);
  const { to, cn } = sidesOf(geometry, operands.inputGradient);
  const registers = (columnWidth(cn, S) === 4 ? WIDE_TILES : NARROW_TILES).map((tiles) => Math.ceil(tiles / S));
  return distinct(registers.map((REGISTERS) => ({
    name: `winograd ${REGISTERS * S}`,
    blocks: blocksOf(geometry.n, to, REGISTERS * S).blocks,
    lower: (moments) => lowerGather(label, geometry, target, operands, REGISTERS, moments),
  })));
}

/** Tiles that cover `n` images, and their blocks of `most`. */
function blocksOf(n: number, { h, w }: Side, most: number) {
  const tilesW = Math.ceil(w / TILE), tiles = n * h * tilesW;
  return { tilesW, tiles, blocks: Math.ceil(tiles / most) };
}

/** The weights' values at the points, then the product. */
function lowerGather(
  label: string,
  geometry: Geometry,
  target: Target,
  { input, weight, output, bias, inputGradient, accumulate }: GatherOperands,
  REGISTERS: number,
  moments?: Moments,
): Dispatch[] {
  const { n, kh, kw, padding } = geometry;
  const { from, to, ck, cn } = sidesOf(geometry, inputGradient);
  const lanes = lanesOf(target.subgroupSize);
  const NV = columnWidth(cn, lanes.S);
  const { tilesW, tiles, blocks } = blocksOf(n, to, REGISTERS * lanes.S);
  const columnBlocks = Math.ceil(cn / (lanes.S * NV));
  // Panels of columns, one behind another: a workgroup reads its own from the first to the last number.
  const values = scratch(`${label} weight values`, [columnBlocks, kh, POINTS, ck, lanes.S * NV]);
  // Four numbers of a lane together are one load, where they meet four channels.
  const AV = widthOf(ck), PACK = AV === 4 ? 4 / NV : 1;
  const width = widthOf(NV), pairs = ck * cn / width;
  const direction = { INPUT_GRADIENT: inputGradient ? 1 : 0 };
  const transform = loop({
    label: `${label} weight values`,
    source: weightSource,
    count: kh * pairs,
    width,
    items: 1,
    constants: {
      ...direction,
      S: lanes.S,
      AV,
      PACK,
      CK: ck,
      KH: kh,
      COLUMNS: cn / NV,
      OF_LANE: NV / width,
      PAIRS: pairs,
    },
    bindings: [weight, values],
  });
  const order = orderOf({ blocks, columnBlocks, weights: sizeOf(values.shape) });
  const product: Dispatch = {
    label,
    flops: flopsOf(geometry),
    source: operandsSource + pointsSource + orderSource + outputSource + gatherSource,
    constants: {
      ...lanes,
      ...direction,
      AV,
      NV,
      PACK,
      REGISTERS,
      CK: ck,
      CN: cn,
      CNT: cn,
      KH: kh,
      PAD: padding,
      PAD_W: inputGradient ? kw - 1 - padding : padding,
      SOURCE_H: from.h,
      SOURCE_W: from.w,
      OUTPUT_H: to.h,
      OUTPUT_W: to.w,
      TILES: tiles,
      TILES_W: tilesW,
      BLOCKS: blocks,
      ...order.constants,
      ACCUMULATE: accumulate ? 1 : 0,
      BIAS: bias ? 1 : 0,
      MOMENTS: moments ? 1 : 0,
    },
    bindings: [input, values, output, ...bias ? [bias] : [], ...moments ? bindingsOf(moments) : []],
    images: readAsImages(kh * READS * columnBlocks, blocks),
    groups: order.groups,
  };
  return [transform, product];
}

/** Ways to compute a weight gradient. */
export function winogradWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  operands: GradientOperands,
): Variant[] {
  const channels = geometry.cin % 4 === 0 ? [8, 16, 12, 4] : [7, 5, 3, 6, 2, 1];
  const [most, fewer] = channels.filter((size) => geometry.cin % size === 0);
  const [workgroups, ...others] = WEIGHT_GRADIENT_GROUPS;
  const cuts = [
    { MR: most, workgroups },
    ...fewer === undefined ? [] : [{ MR: fewer, workgroups }],
    ...others.map((number) => ({ MR: most, workgroups: number })),
  ];
  return distinct(cuts.map(({ MR, workgroups }) => {
    const ranges = rangesOf(geometry, target, MR, workgroups);
    return {
      name: `winograd ${MR} in ${ranges.splits}`,
      lower: () => lowerWeightGradient(name, geometry, target, operands, MR, ranges),
    };
  }));
}

/** Ranges of tiles that make about as many workgroups as wanted. */
function rangesOf({ n, oh, ow, kh, cin, cout }: Geometry, target: Target, MR: number, workgroups: number) {
  const { S } = lanesOf(target.subgroupSize);
  const columnBlocks = Math.ceil(cout / (S * columnWidth(cout, S)));
  const tilesW = Math.ceil(ow / TILE), tiles = n * oh * tilesW;
  const wanted = Math.min(
    Math.ceil(workgroups / (kh * (cin / MR) * columnBlocks)),
    Math.ceil(tiles / LEAST_SPLIT_TILES),
  );
  const splitTiles = Math.ceil(tiles / wanted / S) * S;
  return { columnBlocks, tilesW, tiles, splitTiles, splits: Math.ceil(tiles / splitTiles) };
}

/** The product, then the sum of its parts where there are several. */
function lowerWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  { input, dOutput, slot }: GradientOperands,
  MR: number,
  { columnBlocks, tilesW, tiles, splitTiles, splits }: ReturnType<typeof rangesOf>,
): Dispatch[] {
  const { h, w, cin, cout, kh, kw, oh, ow } = geometry;
  const lanes = lanesOf(target.subgroupSize);
  const NV = columnWidth(cout, lanes.S);
  const direct = splits === 1 && !slot.accumulate;
  const partial = direct ? slot.tensor : scratch(`${name} weight partials`, [splits, kh, kw, cin, cout]);
  const dispatch: Dispatch = {
    label: `${name} weight gradient`,
    source: operandsSource + pointsSource + weightGradientSource,
    constants: {
      ...lanes,
      AV: widthOf(cin),
      MR,
      NV,
      CK: cin,
      CN: cout,
      KH: kh,
      PAD: geometry.padding,
      SOURCE_H: h,
      SOURCE_W: w,
      OUTPUT_H: oh,
      OUTPUT_W: ow,
      TILES: tiles,
      TILES_W: tilesW,
      SPLIT_TILES: splitTiles,
      WHOLE: ow % TILE === 0 ? 1 : 0,
    },
    bindings: [input, dOutput, partial],
    images: readAsImages(kh * READS * columnBlocks, kh * cin / MR),
    groups: [kh * (cin / MR), columnBlocks, splits],
  };
  return direct ? [dispatch] : [dispatch, reducePartials(`${name} weight reduction`, partial, splits, slot)];
}
