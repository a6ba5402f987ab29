/**
 * Reference of the rectifier.
 *
 * @module
 */

import { type Tensor, tensor } from "./tensor.ts";

/** max(x, 0); NaN stays NaN, as in PyTorch. */
export function relu(input: Tensor): Tensor {
  return tensor(input.shape, input.data.map((x) => x < 0 ? 0 : x));
}

/** Gradient of `relu` from its output: zero where the output is zero (the subgradient at 0 is 0, as in PyTorch). */
export function reluBackward(dOutput: Tensor, output: Tensor): Tensor {
  return tensor(output.shape, dOutput.data.map((d, i) => output.data[i] <= 0 ? 0 : d));
}
