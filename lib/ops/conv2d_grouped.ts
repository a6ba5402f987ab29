/**
 * Convolutions with few channels to a group on a discrete GPU, depthwise ones among them.
 *
 * @module
 */

import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import gatherSource from "../../kernels/conv2d_grouped.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/conv2d_grouped_weight_gradient.wgsl" with { type: "text" };
import { reducePartials } from "./column_sum.ts";
import type { GatherOperands, Geometry, GradientOperands } from "./conv2d_geometry.ts";
import { foldGroups, GRID_X, widthOf } from "./elementwise.ts";
import { type Dispatch, scratch } from "./operation.ts";

/** Channels of a group above which a matrix product in tiles pays. */
const MOST_CHANNELS = 15;
/** Invocations of a workgroup, as the kernels say. */
const WORKGROUP = 64;
/** Positions of an invocation. */
const POSITIONS = 4;
/** Invocations that the weight gradient aims for, and the fewest positions worth a split of their own. */
const WEIGHT_GRADIENT_INVOCATIONS = 2 ** 16;
const LEAST_SPLIT_ROWS = 256;

/** Whether so few channels share anything that most of a tile would be idle. */
export function isFinelyGrouped({ groups, cin, cout }: Geometry): boolean {
  return groups > 1 && Math.min(cin, cout) / groups <= MOST_CHANNELS;
}

/** Constants of both kernels: `ck` channels of a group to `cn` columns of it. */
function constantsOf({ kh, kw, stride, padding, dilation, groups }: Geometry, ck: number, cn: number) {
  const depthwise = ck === 1 && cn === 1;
  return {
    DEPTHWISE: depthwise ? 1 : 0,
    AV: widthOf(ck),
    NV: widthOf(depthwise ? groups : cn),
    CK: ck,
    CKT: ck * groups,
    CN: cn,
    CNT: cn * groups,
    KH: kh,
    KW: kw,
    STRIDE: stride,
    PAD: padding,
    DILATION: dilation,
    GRID_X,
  };
}

/** The launch that computes an output, or an input gradient from the output's. */
export function groupedGather(label: string, geometry: Geometry, operands: GatherOperands): Dispatch {
  const { n, groups } = geometry;
  const { input, weight, output, bias, inputGradient, accumulate } = operands;
  const image = { h: geometry.h, w: geometry.w, c: geometry.cin };
  const product = { h: geometry.oh, w: geometry.ow, c: geometry.cout };
  const [from, to] = inputGradient ? [product, image] : [image, product];
  const constants = constantsOf(geometry, from.c / groups, to.c / groups);
  const rows = n * to.h * to.w;
  const invocations = Math.ceil(rows / POSITIONS) * (to.c / constants.NV);
  return {
    label,
    source: operandsSource + gatherSource,
    constants: {
      ...constants,
      POSITIONS,
      INVOCATIONS: invocations,
      ROWS: rows,
      SOURCE_H: from.h,
      SOURCE_W: from.w,
      OUTPUT_H: to.h,
      OUTPUT_W: to.w,
      INPUT_GRADIENT: inputGradient ? 1 : 0,
      ACCUMULATE: accumulate ? 1 : 0,
      BIAS: bias ? 1 : 0,
    },
    bindings: bias ? [input, weight, output, bias] : [input, weight, output],
    groups: foldGroups(Math.ceil(invocations / WORKGROUP)),
  };
}

/** The launches that compute a weight gradient. */
export function groupedWeightGradient(
  name: string,
  geometry: Geometry,
  { input, dOutput, slot }: GradientOperands,
): Dispatch[] {
  const { n, h, w, cin, cout, kh, kw, oh, ow, groups } = geometry;
  const ck = cin / groups, rows = n * oh * ow;
  const constants = constantsOf(geometry, ck, cout / groups);
  const invocations = kh * kw * (ck / constants.AV) * (cout / constants.NV);
  const wanted = Math.min(Math.ceil(WEIGHT_GRADIENT_INVOCATIONS / invocations), Math.ceil(rows / LEAST_SPLIT_ROWS));
  const splitRows = Math.ceil(rows / wanted);
  const splits = Math.ceil(rows / splitRows);
  const direct = splits === 1 && !slot.accumulate;
  const partial = direct ? slot.tensor : scratch(`${name} weight partials`, [splits, kh, kw, ck, cout]);
  const [x, z] = foldGroups(Math.ceil(invocations / WORKGROUP));
  const dispatch: Dispatch = {
    label: `${name} weight gradient`,
    source: operandsSource + weightGradientSource,
    constants: {
      ...constants,
      INVOCATIONS: invocations,
      ROWS: rows,
      SPLIT_ROWS: splitRows,
      SOURCE_H: h,
      SOURCE_W: w,
      OUTPUT_H: oh,
      OUTPUT_W: ow,
    },
    bindings: [input, dOutput, partial],
    groups: [x, splits, z],
  };
  return direct ? [dispatch] : [dispatch, reducePartials(`${name} weight reduction`, partial, splits, slot)];
}
