/**
 * 2-D convolution (cross-correlation), as `torch.nn.functional.conv2d`.
 *
 * @module
 */

import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import convSource from "../../kernels/conv2d.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/conv2d_weight_gradient.wgsl" with { type: "text" };
import transposeSource from "../../kernels/transpose_weight.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { columnSum, reducePartials } from "./column_sum.ts";
import { type Conv2dOptions, flopsOf, type GatherOperands, type Geometry, geometryOf } from "./conv2d_geometry.ts";
import { groupedGather, groupedWeightGradient, isFinelyGrouped } from "./conv2d_grouped.ts";
import { sharesInputs, stripGather, stripWeightGradient } from "./conv2d_strip.ts";
import { tiledGather, tiledWeightGradient } from "./conv2d_tile.ts";
import { GRID_X, loop } from "./elementwise.ts";
import { columnWidth, divisorOf, lanesOf } from "./gemm.ts";
import {
  type Dispatch,
  type GradientOf,
  type GradientSlot,
  type Operation,
  scratch,
  type Target,
  type Tensor,
} from "./operation.ts";

/** Rows of the output that one workgroup owns, where there are many and where there are few. */
const ROWS_PER_GROUP = 32;
const FEW_ROWS_PER_GROUP = 16;
const MANY_ROWS = 1024;
/** Workgroups that the weight gradient aims for, and the fewest positions worth a split of their own. */
const WEIGHT_GRADIENT_GROUPS = 512;
const LEAST_SPLIT_ROWS = 256;

export type { Conv2dOptions } from "./conv2d_geometry.ts";

/** Convolves input [N, H, W, CIN] with weight [KH, KW, CIN / groups, COUT] to [N, OH, OW, COUT]. */
export function conv2d(name: string, input: Tensor, weight: Tensor, options: Conv2dOptions = {}): Operation {
  const geometry = geometryOf(input, weight, options);
  const { n, oh, ow, cout } = geometry;
  const output = scratch(name, [n, oh, ow, cout]);
  const { bias } = options;
  return {
    kind: "conv2d",
    inputs: bias ? [input, weight, bias] : [input, weight],
    output,
    forward: (target) => [forward(name, geometry, target, input, weight, output, bias)],
    backward(target, dOutput, gradientOf) {
      return [
        ...inputGradient(name, geometry, target, dOutput, weight, gradientOf(input)),
        ...weightGradient(name, geometry, target, input, dOutput, gradientOf(weight)),
        ...biasGradient(name, dOutput, bias, gradientOf),
      ];
    },
  };
}

/** Constants of `conv2d.wgsl` that both directions share: reduction over `ck` channels, `cn` columns to a group. */
function tile(geometry: Geometry, target: Target, ck: number, cn: number, rows: number) {
  const lanes = lanesOf(target.subgroupSize);
  const AV = ck % 4 === 0 ? 4 : 1;
  const KL = divisorOf(ck / AV, [4, 2, 1]);
  const NV = columnWidth(cn, lanes.S);
  return {
    ...lanes,
    AV,
    KL,
    NV,
    NR: 1,
    MR: Math.max(rows >= MANY_ROWS ? ROWS_PER_GROUP : FEW_ROWS_PER_GROUP, lanes.S / KL),
    CK: ck,
    CKT: ck * geometry.groups,
    CN: cn,
    CNT: cn * geometry.groups,
    G: geometry.groups,
    COLUMN_BLOCKS: Math.ceil(cn / (lanes.S * NV)),
    KH: geometry.kh,
    KW: geometry.kw,
    STRIDE: geometry.stride,
    PAD: geometry.padding,
    DILATION: geometry.dilation,
    GRID_X,
  };
}

/** The launch that computes an output, or an input gradient from the output's, by the kernel that suits it. */
export function gather(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Dispatch {
  return { ...gatherLaunch(label, geometry, target, operands), flops: flopsOf(geometry) };
}

function gatherLaunch(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Dispatch {
  if (target.schedule === "gpu") {
    return isFinelyGrouped(geometry)
      ? groupedGather(label, geometry, operands)
      : tiledGather(label, geometry, target, operands);
  }
  if (sharesInputs(geometry)) return stripGather(label, geometry, target, operands);
  const { n, h, w, cin, cout, oh, ow, stride, groups } = geometry;
  const { input, weight, output, bias, inputGradient, accumulate } = operands;
  const image = { h, w, c: cin }, product = { h: oh, w: ow, c: cout };
  const [from, to] = inputGradient ? [product, image] : [image, product];
  const residues = inputGradient ? stride : 1;
  const rowsH = Math.ceil(to.h / residues), rowsW = Math.ceil(to.w / residues), rows = n * rowsH * rowsW;
  const constants = tile(geometry, target, from.c / groups, to.c / groups, rows);
  const blocks = Math.ceil(rows / constants.MR);
  return {
    label,
    source: operandsSource + convSource,
    constants: {
      ...constants,
      INPUT_GRADIENT: inputGradient ? 1 : 0,
      ACCUMULATE: accumulate ? 1 : 0,
      BIAS: bias ? 1 : 0,
      SOURCE_H: from.h,
      SOURCE_W: from.w,
      OUTPUT_H: to.h,
      OUTPUT_W: to.w,
      ROWS: rows,
      ROW_BLOCKS: blocks,
      ROWS_H: rowsH,
      ROWS_W: rowsW,
      ROW_STRIDE: inputGradient ? 1 : stride,
    },
    bindings: bias ? [input, weight, output, bias] : [input, weight, output],
    groups: [
      Math.min(blocks, GRID_X),
      Math.ceil(blocks / GRID_X),
      constants.COLUMN_BLOCKS * groups * residues ** 2,
    ],
  };
}

function forward(
  name: string,
  geometry: Geometry,
  target: Target,
  input: Tensor,
  weight: Tensor,
  output: Tensor,
  bias: Tensor | undefined,
): Dispatch {
  const operands = { input, weight, output, bias, inputGradient: false, accumulate: false };
  return gather(`${name} forward`, geometry, target, operands);
}

function inputGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  dOutput: Tensor,
  weight: Tensor,
  slot: GradientSlot | undefined,
): Dispatch[] {
  if (slot === undefined) return [];
  const { cin, cout, kh, kw, groups } = geometry;
  const transposed = scratch(`${name} weight transposed`, [kh, kw, cout / groups, cin]);
  const operands = {
    input: dOutput,
    weight: transposed,
    output: slot.tensor,
    inputGradient: true,
    accumulate: slot.accumulate,
  };
  return [
    transposeWeight(`${name} weight transpose`, geometry, weight, transposed),
    gather(`${name} input gradient`, geometry, target, operands),
  ];
}

/** The launch that exchanges the channels of a weight within each group: what an input gradient reads. */
export function transposeWeight(
  label: string,
  { cin, cout, groups }: Geometry,
  weight: Tensor,
  transposed: Tensor,
): Dispatch {
  return loop({
    label,
    source: transposeSource,
    count: sizeOf(transposed.shape),
    constants: { CI: cin / groups, CO: cout / groups, G: groups },
    bindings: [weight, transposed],
  });
}

/** The launches that compute a weight gradient, where one is wanted. */
export function weightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  input: Tensor,
  dOutput: Tensor,
  slot: GradientSlot | undefined,
): Dispatch[] {
  if (slot === undefined) return [];
  const [product, ...reduction] = weightGradientLaunches(name, geometry, target, input, dOutput, slot);
  return [{ ...product, flops: flopsOf(geometry) }, ...reduction];
}

/** The product, then the sum of its parts where there are several. */
function weightGradientLaunches(
  name: string,
  geometry: Geometry,
  target: Target,
  input: Tensor,
  dOutput: Tensor,
  slot: GradientSlot,
): Dispatch[] {
  if (target.schedule === "gpu") {
    return isFinelyGrouped(geometry)
      ? groupedWeightGradient(name, geometry, input, dOutput, slot)
      : tiledWeightGradient(name, geometry, target, input, dOutput, slot);
  }
  if (sharesInputs(geometry)) return stripWeightGradient(name, geometry, target, input, dOutput, slot);
  const { n, h, w, cin, cout, kh, kw, oh, ow, groups } = geometry;
  const lanes = lanesOf(target.subgroupSize);
  const ck = cin / groups, cn = cout / groups;
  const AV = ck % 4 === 0 ? 4 : 1;
  const MR = divisorOf(ck, AV === 4 ? [16, 12, 8, 4] : [15, 13, 11, 9, 7, 5, 3, 14, 10, 6, 2, 1]);
  const NV = columnWidth(cn, lanes.S);
  const columnBlocks = Math.ceil(cn / (lanes.S * NV));
  const rows = n * oh * ow;
  const groupsOfOneSplit = kh * kw * (ck / MR) * columnBlocks * groups;
  const wanted = Math.min(Math.ceil(WEIGHT_GRADIENT_GROUPS / groupsOfOneSplit), Math.ceil(rows / LEAST_SPLIT_ROWS));
  const splitRows = Math.ceil(rows / wanted / lanes.S) * lanes.S;
  const splits = Math.ceil(rows / splitRows);
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
      NR: 1,
      CK: ck,
      CKT: cin,
      CN: cn,
      CNT: cout,
      COLUMN_BLOCKS: columnBlocks,
      KH: kh,
      KW: kw,
      STRIDE: geometry.stride,
      PAD: geometry.padding,
      DILATION: geometry.dilation,
      SOURCE_H: h,
      SOURCE_W: w,
      OUTPUT_H: oh,
      OUTPUT_W: ow,
      ROWS: rows,
      SPLIT_ROWS: splitRows,
    },
    bindings: [input, dOutput, partial],
    groups: [kh * kw * (ck / MR), splits, columnBlocks * groups],
  };
  return direct ? [dispatch] : [dispatch, reducePartials(`${name} weight reduction`, partial, splits, slot)];
}

/** The launches that compute a bias gradient, where one is wanted. */
export function biasGradient(
  name: string,
  dOutput: Tensor,
  bias: Tensor | undefined,
  gradientOf: GradientOf,
): readonly Dispatch[] {
  const slot = bias && gradientOf(bias);
  return slot ? columnSum(`${name} bias gradient`, dOutput, slot) : [];
}
