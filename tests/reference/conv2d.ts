/**
 * Reference of the two-dimensional convolution (cross-correlation, as `torch.nn.functional.conv2d`).
 *
 * @module
 */

import { sizes4, type Tensor, tensor, windowCount } from "./tensor.ts";

/** Geometry of a convolution, the same along both axes. */
export interface Conv2dOptions {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
}

/** Gradients of a convolution. */
export interface Conv2dGradient {
  /** `[batch, height, width, inChannels]`. */
  readonly dInput: Tensor;
  /** `[outChannels, inChannels / groups, kernelHeight, kernelWidth]`. */
  readonly dWeight: Tensor;
  /** `[outChannels]`. */
  readonly dBias: Tensor;
}

/** Called once for each product of a convolution, with the flat index of its three factors. */
type Visit = (output: number, input: number, weight: number) => void;

/** Shape of the output, after checking that the operands fit each other. */
function outputShape(input: Tensor, weight: Tensor, options: Conv2dOptions): [number, number, number, number] {
  const { stride, padding, dilation, groups } = options;
  const [batch, height, width, inChannels] = sizes4(input);
  const [outChannels, inPerGroup, kernelHeight, kernelWidth] = sizes4(weight);
  if (inPerGroup * groups !== inChannels || outChannels % groups !== 0) {
    throw new TypeError(
      `Cannot convolve [${input.shape}] with [${weight.shape}] in ${groups} groups: the channels do not match`,
    );
  }
  return [
    batch,
    windowCount(height, kernelHeight, stride, padding, dilation),
    windowCount(width, kernelWidth, stride, padding, dilation),
    outChannels,
  ];
}

/** Visits every product that the convolution sums; taps in the padding contribute nothing and are skipped. */
function forEachProduct(input: Tensor, weight: Tensor, options: Conv2dOptions, visit: Visit): void {
  const { stride, padding, dilation, groups } = options;
  const [, height, width, inChannels] = sizes4(input);
  const [, inPerGroup, kernelHeight, kernelWidth] = sizes4(weight);
  const [batch, outHeight, outWidth, outChannels] = outputShape(input, weight, options);
  for (let n = 0; n < batch; n++) {
    for (let oh = 0; oh < outHeight; oh++) {
      for (let ow = 0; ow < outWidth; ow++) {
        for (let oc = 0; oc < outChannels; oc++) {
          const output = ((n * outHeight + oh) * outWidth + ow) * outChannels + oc;
          const group = Math.floor(oc / (outChannels / groups));
          for (let ic = 0; ic < inPerGroup; ic++) {
            for (let kh = 0; kh < kernelHeight; kh++) {
              for (let kw = 0; kw < kernelWidth; kw++) {
                const h = oh * stride - padding + kh * dilation;
                const w = ow * stride - padding + kw * dilation;
                if (h < 0 || h >= height || w < 0 || w >= width) continue;
                visit(
                  output,
                  ((n * height + h) * width + w) * inChannels + group * inPerGroup + ic,
                  ((oc * inPerGroup + ic) * kernelHeight + kh) * kernelWidth + kw,
                );
              }
            }
          }
        }
      }
    }
  }
}

/**
 * Convolves `input` `[batch, height, width, inChannels]` with `weight`, adding `bias` `[outChannels]` where there is one.
 *
 * @returns `[batch, outHeight, outWidth, outChannels]`.
 */
export function conv2d(input: Tensor, weight: Tensor, bias: Tensor | null, options: Conv2dOptions): Tensor {
  const output = tensor(outputShape(input, weight, options));
  const outChannels = weight.shape[0];
  if (bias !== null) output.data.forEach((_, i) => output.data[i] = bias.data[i % outChannels]);
  forEachProduct(input, weight, options, (o, i, w) => output.data[o] += input.data[i] * weight.data[w]);
  return output;
}

/** Gradients of `conv2d` for the gradient `dOutput` of its output. */
export function conv2dBackward(
  dOutput: Tensor,
  input: Tensor,
  weight: Tensor,
  options: Conv2dOptions,
): Conv2dGradient {
  const dInput = tensor(input.shape), dWeight = tensor(weight.shape), dBias = tensor([weight.shape[0]]);
  forEachProduct(input, weight, options, (o, i, w) => {
    dInput.data[i] += dOutput.data[o] * weight.data[w];
    dWeight.data[w] += dOutput.data[o] * input.data[i];
  });
  dOutput.data.forEach((value, o) => dBias.data[o % weight.shape[0]] += value);
  return { dInput, dWeight, dBias };
}
