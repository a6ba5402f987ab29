/**
 * Reference of the fully connected layer (`torch.nn.functional.linear`).
 *
 * @module
 */

import { sizes2, type Tensor, tensor } from "./tensor.ts";

/** Gradients of a linear layer. */
export interface LinearGradient {
  /** `[batch, in]`. */
  readonly dInput: Tensor;
  /** `[out, in]`. */
  readonly dWeight: Tensor;
  /** `[out]`. */
  readonly dBias: Tensor;
}

/**
 * input · weightᵀ + bias: `[batch, in]` with `[out, in]` gives `[batch, out]`.
 *
 * @throws {TypeError} where the inner sizes differ.
 */
export function linear(input: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  const [batch, width] = sizes2(input);
  const [out, weightWidth] = sizes2(weight);
  if (width !== weightWidth) {
    throw new TypeError(`Cannot multiply [${input.shape}] by [${weight.shape}]: equal inner sizes are required`);
  }
  const output = tensor([batch, out]);
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < out; o++) {
      let sum = bias === null ? 0 : bias.data[o];
      for (let i = 0; i < width; i++) sum += input.data[n * width + i] * weight.data[o * width + i];
      output.data[n * out + o] = sum;
    }
  }
  return output;
}

/** Gradients of `linear`. */
export function linearBackward(dOutput: Tensor, input: Tensor, weight: Tensor): LinearGradient {
  const [batch, width] = sizes2(input);
  const [out] = sizes2(weight);
  const dInput = tensor(input.shape), dWeight = tensor(weight.shape), dBias = tensor([out]);
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < out; o++) {
      const d = dOutput.data[n * out + o];
      dBias.data[o] += d;
      for (let i = 0; i < width; i++) {
        dInput.data[n * width + i] += d * weight.data[o * width + i];
        dWeight.data[o * width + i] += d * input.data[n * width + i];
      }
    }
  }
  return { dInput, dWeight, dBias };
}
