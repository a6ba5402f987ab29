/**
 * Stride-1 convolutions wider than one tap: kernels that load inputs once for all taps of a kernel row.
 *
 * @module
 */

import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import stripSource from "../../kernels/conv2d_strip.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/conv2d_weight_gradient_strip.wgsl" with { type: "text" };
import { reducePartials } from "./column_sum.ts";
import { flopsOf, type Geometry } from "./conv2d_geometry.ts";
import { GRID_X } from "./elementwise.ts";
import { columnWidth, divisorOf, lanesOf } from "./gemm.ts";
import { type Dispatch, type GradientSlot, scratch, type Target, type Tensor } from "./operation.ts";

/** Output positions of a workgroup: more reuse the weights more often, and make a longer kernel text. */
const POSITIONS = 64;
const WIDEST_TILE = 32;
/** Output positions that the weight gradient takes at a time. */
const WIDEST_GRADIENT_TILE = 16;
/** Workgroups that the weight gradient aims for, and the fewest positions worth a split of their own. */
const WEIGHT_GRADIENT_GROUPS = 256;
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

/** Operands of {@linkcode stripGather}. */
export interface GatherOperands {
  readonly input: Tensor;
  /** [KH, KW, CK, CNT]; for the input gradient transposed. */
  readonly weight: Tensor;
  readonly output: Tensor;
  readonly bias?: Tensor;
  readonly inputGradient: boolean;
  readonly accumulate: boolean;
}

/** The launch that computes an output, or an input gradient from the output's. */
export function stripGather(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Dispatch {
  const { n, groups, kh, kw } = geometry;
  const { input, weight, output, bias, inputGradient, accumulate } = operands;
  const lanes = lanesOf(target.subgroupSize);
  const [from, to] = inputGradient
    ? [{ h: geometry.oh, w: geometry.ow, c: geometry.cout }, { h: geometry.h, w: geometry.w, c: geometry.cin }]
    : [{ h: geometry.h, w: geometry.w, c: geometry.cin }, { h: geometry.oh, w: geometry.ow, c: geometry.cout }];
  const ck = from.c / groups, cn = to.c / groups;
  const TW = tileWidth(to.w, WIDEST_TILE);
  const TR = Math.max(1, Math.min(to.h, Math.floor(POSITIONS / TW)));
  const strip = TW + kw - 1;
  const NV = columnWidth(cn, lanes.S);
  const columnBlocks = Math.ceil(cn / (lanes.S * NV));
  const tilesW = Math.ceil(to.w / TW), tilesH = Math.ceil(to.h / TR), tiles = n * tilesH * tilesW;
  return {
    label,
    flops: flopsOf(geometry),
    source: operandsSource + stripSource,
    constants: {
      ...lanes,
      AV: ck % 4 === 0 ? 4 : 1,
      NV,
      TR,
      TW,
      STRIP: strip,
      REGISTERS: Math.ceil(TR * strip / lanes.S),
      CK: ck,
      CKT: from.c,
      CN: cn,
      CNT: to.c,
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
      GRID_X,
      INPUT_GRADIENT: inputGradient ? 1 : 0,
      ACCUMULATE: accumulate ? 1 : 0,
      BIAS: bias ? 1 : 0,
    },
    bindings: bias ? [input, weight, output, bias] : [input, weight, output],
    groups: [Math.min(tiles, GRID_X), Math.ceil(tiles / GRID_X), columnBlocks * groups],
  };
}

/** The launches that compute a weight gradient. */
export function stripWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  input: Tensor,
  dOutput: Tensor,
  slot: GradientSlot,
): Dispatch[] {
  const { n, h, w, cin, cout, kh, kw, oh, ow, groups } = geometry;
  const lanes = lanesOf(target.subgroupSize);
  const ck = cin / groups, cn = cout / groups;
  const AV = ck % 4 === 0 ? 4 : 1;
  const MR = divisorOf(ck, AV === 4 ? [16, 12, 8, 4] : [7, 5, 3, 6, 2, 1]);
  const NV = columnWidth(cn, lanes.S);
  const TW = tileWidth(ow, WIDEST_GRADIENT_TILE);
  const columnBlocks = Math.ceil(cn / (lanes.S * NV));
  const imageRows = n * oh;
  const groupsOfOneSplit = kh * (ck / MR) * columnBlocks * groups;
  const wanted = Math.min(
    Math.ceil(WEIGHT_GRADIENT_GROUPS / groupsOfOneSplit),
    Math.ceil(imageRows * ow / LEAST_SPLIT_POSITIONS),
    imageRows,
  );
  const splitRows = Math.ceil(imageRows / wanted);
  const splits = Math.ceil(imageRows / splitRows);
  const direct = splits === 1 && !slot.accumulate;
  const partial = direct ? slot.tensor : scratch(`${name} weight partials`, [splits, kh, kw, ck, cout]);
  const dispatch: Dispatch = {
    label: `${name} weight gradient`,
    flops: flopsOf(geometry),
    source: operandsSource + weightGradientSource,
    constants: {
      ...lanes,
      AV,
      MR,
      NV,
      TW,
      REGISTERS: Math.ceil((TW + kw - 1) / lanes.S),
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
    groups: [kh * (ck / MR), splits, columnBlocks * groups],
  };
  return direct ? [dispatch] : [dispatch, reducePartials(`${name} weight reduction`, partial, splits, slot)];
}
