/**
 * Transposed 2-D convolution, as `torch.nn.functional.conv_transpose2d`: the input gradient of a convolution as a
 * forward pass, and the other way round.
 *
 * @module
 */

import { sizeOf } from "../tensor.ts";
import { biasGradient, gather, transposeWeight, weightGradient } from "./conv2d.ts";
import { type Geometry, geometryOf } from "./conv2d_geometry.ts";
import { imageShape, type Operation, requireSize, scratch, shapeError, type Tensor } from "./operation.ts";

/** Geometry of a transposed convolution; the same on both axes. */
export interface ConvTranspose2dOptions {
  readonly stride?: number;
  readonly padding?: number;
  /** Positions added behind the output, fewer than `stride`. */
  readonly outputPadding?: number;
  readonly dilation?: number;
  readonly groups?: number;
  /** [COUT] */
  readonly bias?: Tensor;
}

/** The convolution whose input gradient this is. */
function adjointOf(input: Tensor, weight: Tensor, options: ConvTranspose2dOptions): Geometry {
  const { n, h, w, c } = imageShape("convTranspose2d", input);
  const { stride = 1, padding = 0, outputPadding = 0, dilation = 1, groups = 1, bias } = options;
  requireSize("convTranspose2d", "stride", stride);
  requireSize("convTranspose2d", "padding", padding, 0);
  requireSize("convTranspose2d", "dilation", dilation);
  requireSize("convTranspose2d", "outputPadding", outputPadding, 0);
  if (outputPadding >= stride) {
    throw shapeError("convTranspose2d", `outputPadding ${outputPadding}`, `less than the stride ${stride} is required`);
  }
  const [kh, kw, coutOfGroup, cin] = weight.shape;
  if (weight.shape.length !== 4 || cin !== c) {
    throw shapeError(
      "convTranspose2d",
      `weight ${weight.name} of shape [${weight.shape}] on ${c} input channels`,
      "[KH, KW, COUT / groups, CIN] is required",
    );
  }
  const cout = coutOfGroup * groups;
  if (bias !== undefined && sizeOf(bias.shape) !== cout) {
    throw shapeError("convTranspose2d", `bias ${bias.name} of shape [${bias.shape}]`, `[${cout}] is required`);
  }
  const size = (positions: number, kernel: number) =>
    (positions - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + outputPadding;
  const height = size(h, kh), width = size(w, kw);
  if (height < 1 || width < 1) {
    throw shapeError(
      "convTranspose2d",
      `a ${kh}x${kw} kernel on ${h}x${w} positions with padding ${padding}`,
      "at least one output position is required",
    );
  }
  return geometryOf(scratch("output", [n, height, width, cout]), weight, { stride, padding, dilation, groups });
}

/** Spreads input [N, H, W, CIN] by weight [KH, KW, COUT / groups, CIN] over [N, OH, OW, COUT]. */
export function convTranspose2d(
  name: string,
  input: Tensor,
  weight: Tensor,
  options: ConvTranspose2dOptions = {},
): Operation {
  const geometry = adjointOf(input, weight, options);
  const { n, h, w, cin, cout, kh, kw, groups } = geometry;
  const { bias } = options;
  const output = scratch(name, [n, h, w, cin]);
  // Made once, not with each lowering: recomputed activations then find it where the first pass left it.
  const transposed = scratch(`${name} weight transposed`, [kh, kw, cout / groups, cin]);
  return {
    kind: "convTranspose2d",
    inputs: bias ? [input, weight, bias] : [input, weight],
    output,
    forward: (target) => [
      transposeWeight(`${name} weight transpose`, geometry, weight, transposed),
      ...gather(`${name} forward`, geometry, target, {
        input,
        weight: transposed,
        output,
        bias,
        inputGradient: true,
        accumulate: false,
      }),
    ],
    backward(target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      const operands = { input: dOutput, weight, inputGradient: false };
      return [
        ...slot === undefined ? [] : gather(`${name} input gradient`, geometry, target, {
          ...operands,
          output: slot.tensor,
          accumulate: slot.accumulate,
        }),
        ...weightGradient(name, geometry, target, dOutput, input, gradientOf(weight)),
        ...biasGradient(name, dOutput, bias, gradientOf),
      ];
    },
  };
}
