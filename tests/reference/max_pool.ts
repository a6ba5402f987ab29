/**
 * Reference of max pooling (`torch.nn.functional.max_pool2d`).
 *
 * @module
 */

import { forEachWindow, pooledShape, type PoolOptions } from "./pool_windows.ts";
import { type Tensor, tensor } from "./tensor.ts";

/** Flat index into the input of each output's maximum; of equal values, the first in row-major order of the window. */
function winners(input: Tensor, options: PoolOptions): number[] {
  const indices: number[] = [];
  forEachWindow(input, options, (output, inputs) => {
    let best = inputs[0];
    for (const i of inputs) {
      if (input.data[i] > input.data[best] || Number.isNaN(input.data[i])) best = i;
    }
    indices[output] = best;
  });
  return indices;
}

/** The greatest value of each window of `input` `[batch, height, width, channels]`; padding never wins. */
export function maxPool(input: Tensor, options: PoolOptions): Tensor {
  return tensor(pooledShape(input, options), winners(input, options).map((i) => input.data[i]));
}

/** Gradient of `maxPool`: each output's gradient goes to the one input that won. */
export function maxPoolBackward(dOutput: Tensor, input: Tensor, options: PoolOptions): Tensor {
  const dInput = tensor(input.shape);
  winners(input, options).forEach((i, output) => dInput.data[i] += dOutput.data[output]);
  return dInput;
}
