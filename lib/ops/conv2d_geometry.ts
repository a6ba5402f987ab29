/**
 * Sizes of a 2-D convolution.
 *
 * @module
 */

import { sizeOf } from "../tensor.ts";
import { type GradientSlot, imageShape, requireSize, shapeError, type Target, type Tensor } from "./operation.ts";

/** Geometry of a convolution; the same on both axes. */
export interface Conv2dOptions {
  readonly stride?: number;
  readonly padding?: number;
  readonly dilation?: number;
  readonly groups?: number;
  /** [COUT] */
  readonly bias?: Tensor;
}

/** All sizes of one convolution. */
export interface Geometry {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly cin: number;
  readonly kh: number;
  readonly kw: number;
  readonly cout: number;
  readonly oh: number;
  readonly ow: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
}

/** Tensors of a launch that computes an output from the input, or an input's gradient from the output's. */
export interface GatherOperands {
  readonly input: Tensor;
  /** [KH, KW, CK, CNT]; for the input gradient transposed. */
  readonly weight: Tensor;
  readonly output: Tensor;
  readonly bias?: Tensor;
  readonly inputGradient: boolean;
  readonly accumulate: boolean;
}

/** Tensors of the launches that compute a weight gradient. */
export interface GradientOperands {
  readonly input: Tensor;
  readonly dOutput: Tensor;
  readonly slot: GradientSlot;
}

/** An image, without its number and its channels. */
export interface Side {
  readonly h: number;
  readonly w: number;
}

/** What a launch reads and writes, with the channels of one group: from input to output, or back. */
export function sidesOf(
  { h, w, oh, ow, cin, cout, groups }: Geometry,
  inputGradient: boolean,
): { readonly from: Side; readonly to: Side; readonly ck: number; readonly cn: number } {
  const image = { side: { h, w }, channels: cin / groups },
    product = { side: { h: oh, w: ow }, channels: cout / groups };
  const [from, to] = inputGradient ? [product, image] : [image, product];
  return { from: from.side, to: to.side, ck: from.channels, cn: to.channels };
}

/** What the time of a part of a convolution depends on, as a tuning table spells it. */
export function shapeClassOf(
  { schedule, subgroupSize }: Target,
  part: "output" | "input gradient" | "weight gradient",
  { n, h, w, cin, kh, kw, cout, stride, padding, dilation, groups }: Geometry,
): string {
  const kernels = schedule === "cpu" ? `cpu ${subgroupSize}` : "gpu";
  const options = Object.entries({ stride, padding, dilation, groups })
    .filter(([name, value]) => value !== (name === "padding" ? 0 : 1)).map(([name, value]) => ` ${name} ${value}`);
  return `${kernels}: conv2d ${part}, ${n}x${h}x${w}x${cin} by ${kh}x${kw}x${cout}${options.join("")}`;
}

/** Additions and multiplications of a convolution, of its input gradient and of its weight gradient: of each the same. */
export function flopsOf({ n, oh, ow, cout, kh, kw, cin, groups }: Geometry): number {
  return 2 * n * oh * ow * cout * kh * kw * (cin / groups);
}

/** Checks operands and works their sizes out. */
export function geometryOf(input: Tensor, weight: Tensor, options: Conv2dOptions): Geometry {
  const { n, h, w, c: cin } = imageShape("conv2d", input);
  const [kh, kw, cinOfGroup, cout] = weight.shape;
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  requireSize("conv2d", "stride", stride);
  requireSize("conv2d", "padding", padding, 0);
  requireSize("conv2d", "dilation", dilation);
  requireSize("conv2d", "groups", groups);
  if (weight.shape.length !== 4 || cinOfGroup * groups !== cin || cout % groups !== 0) {
    throw shapeError(
      "conv2d",
      `weight ${weight.name} of shape [${weight.shape}] with ${groups} groups on ${cin} input channels`,
      "[KH, KW, CIN / groups, COUT] with COUT a multiple of groups is required",
    );
  }
  if (options.bias !== undefined && sizeOf(options.bias.shape) !== cout) {
    throw shapeError("conv2d", `bias ${options.bias.name} of shape [${options.bias.shape}]`, `[${cout}] is required`);
  }
  const oh = Math.floor((h + 2 * padding - dilation * (kh - 1) - 1) / stride) + 1;
  const ow = Math.floor((w + 2 * padding - dilation * (kw - 1) - 1) / stride) + 1;
  if (oh < 1 || ow < 1) {
    throw shapeError(
      "conv2d",
      `a ${kh}x${kw} kernel on ${h}x${w} positions`,
      "at least one output position is required",
    );
  }
  return { n, h, w, cin, kh, kw, cout, oh, ow, stride, padding, dilation, groups };
}
