/**
 * Sizes of a 2-D convolution.
 *
 * @module
 */

import { sizeOf } from "../tensor.ts";
import { imageShape, requireSize, shapeError, type Tensor } from "./operation.ts";

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
