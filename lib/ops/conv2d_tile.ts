/**
 * Convolutions on a discrete GPU: matrix products in tiles that a workgroup shares.
 *
 * @module
 */

import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import gatherSource from "../../kernels/conv2d_tile.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/conv2d_weight_gradient_tile.wgsl" with { type: "text" };
import { reducePartials } from "./column_sum.ts";
import type { GatherOperands, Geometry } from "./conv2d_geometry.ts";
import { foldGroups, GRID_X, widthOf } from "./elementwise.ts";
import { blocksOf, PROCESSORS, splitTileOf, type Tile, tileConstants, tileOf } from "./gemm_tile.ts";
import { type Dispatch, type GradientSlot, scratch, type Target, type Tensor } from "./operation.ts";

/** Workgroups that the weight gradient aims for: one more split makes more partial sums to write and to read. */
const LEAST_WORKGROUPS = 2 * PROCESSORS, MOST_WORKGROUPS = 4 * PROCESSORS;
/** Fewest positions worth a split of their own. */
const LEAST_SPLIT_ROWS = 256;

/** The launch that computes an output, or an input gradient from the output's. */
export function tiledGather(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Dispatch {
  const { n, kh, kw, stride, dilation, groups, cin, cout } = geometry;
  const { input, weight, output, bias, inputGradient, accumulate } = operands;
  const image = { h: geometry.h, w: geometry.w }, product = { h: geometry.oh, w: geometry.ow };
  const [from, to] = inputGradient ? [product, image] : [image, product];
  const [ck, cn] = (inputGradient ? [cout, cin] : [cin, cout]).map((channels) => channels / groups);
  const residues = inputGradient ? stride : 1;
  const rowsH = Math.ceil(to.h / residues), rowsW = Math.ceil(to.w / residues), rows = n * rowsH * rowsW;
  const depth = groups * residues ** 2;
  const tile = tileOf(target.tiles, rows, cn, depth);
  const blocks = blocksOf(tile, rows, cn);
  const constants = tileConstants(tile);
  const [x, y] = foldGroups(blocks);
  return {
    label,
    source: operandsSource + gatherSource,
    constants: {
      ...constants,
      LEFT_LOADS: Math.ceil((tile.bm / 4) * (tile.bk / 4) / constants.THREADS),
      AV: widthOf(ck),
      NV: widthOf(cn),
      CK: ck,
      CKT: ck * groups,
      CN: cn,
      CNT: cn * groups,
      G: groups,
      BLOCKS: blocks,
      COLUMN_BLOCKS: Math.ceil(cn / tile.bn),
      KH: kh,
      KW: kw,
      STRIDE: stride,
      PAD: geometry.padding,
      DILATION: dilation,
      TAP_STEP: stride / greatestCommonDivisor(stride, dilation),
      SOURCE_H: from.h,
      SOURCE_W: from.w,
      ROWS: rows,
      ROWS_H: rowsH,
      ROWS_W: rowsW,
      ROW_STRIDE: inputGradient ? 1 : stride,
      OUTPUT_H: to.h,
      OUTPUT_W: to.w,
      GRID_X,
      WHOLE_TAPS: ck % tile.bk === 0 ? 1 : 0,
      INPUT_GRADIENT: inputGradient ? 1 : 0,
      RESIDUES: residues > 1 ? 1 : 0,
      ACCUMULATE: accumulate ? 1 : 0,
      BIAS: bias ? 1 : 0,
    },
    bindings: bias ? [input, weight, output, bias] : [input, weight, output],
    groups: [x, y, depth],
  };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Ranges of `rows` positions, whole K tiles each, whose workgroups leave the fewest processors idle at the end. */
function splitsOf(tile: Tile, rows: number, blocks: number): { splitRows: number; splits: number } {
  const most = Math.min(Math.ceil(MOST_WORKGROUPS / blocks), Math.ceil(rows / LEAST_SPLIT_ROWS));
  const least = Math.min(Math.ceil(LEAST_WORKGROUPS / blocks), most);
  const timeOf = (splits: number) => Math.ceil(blocks * splits / PROCESSORS) / splits;
  let wanted = least;
  for (let splits = least + 1; splits <= most; splits++) if (timeOf(splits) < timeOf(wanted)) wanted = splits;
  const splitRows = Math.ceil(rows / wanted / tile.bk) * tile.bk;
  return { splitRows, splits: Math.ceil(rows / splitRows) };
}

/** The launches that compute a weight gradient. */
export function tiledWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  input: Tensor,
  dOutput: Tensor,
  slot: GradientSlot,
): Dispatch[] {
  const { n, h, w, cin, cout, kh, kw, oh, ow, stride, padding, groups } = geometry;
  const ck = cin / groups, cn = cout / groups, rows = n * oh * ow;
  const tile = splitTileOf(target.tiles, kh * kw * ck, cn);
  const blocks = blocksOf(tile, kh * kw * ck, cn);
  const { splitRows, splits } = splitsOf(tile, rows, blocks * groups);
  const direct = splits === 1 && !slot.accumulate;
  const partial = direct ? slot.tensor : scratch(`${name} weight partials`, [splits, kh, kw, ck, cout]);
  const constants = tileConstants(tile);
  const dispatch: Dispatch = {
    label: `${name} weight gradient`,
    source: operandsSource + weightGradientSource,
    constants: {
      ...constants,
      LEFT_LOADS: Math.ceil(tile.bk * tile.bm / 4 / constants.THREADS),
      AV: widthOf(ck),
      NV: widthOf(cn),
      CK: ck,
      CKT: cin,
      CN: cn,
      CNT: cout,
      COLUMN_BLOCKS: Math.ceil(cn / tile.bn),
      KH: kh,
      KW: kw,
      STRIDE: stride,
      PAD: padding,
      DILATION: geometry.dilation,
      SOURCE_H: h,
      SOURCE_W: w,
      OUTPUT_H: oh,
      OUTPUT_W: ow,
      ROWS: rows,
      SPLIT_ROWS: splitRows,
      POINTWISE: kh === 1 && kw === 1 && stride === 1 && padding === 0 ? 1 : 0,
    },
    bindings: [input, dOutput, partial],
    groups: [blocks, splits, groups],
  };
  return direct ? [dispatch] : [dispatch, reducePartials(`${name} weight reduction`, partial, splits, slot)];
}
