/**
 * Reference of average pooling (`torch.nn.functional.avg_pool2d`) and of its global form.
 *
 * @module
 */

import { forEachWindow, pooledShape, type PoolOptions } from "./pool_windows.ts";
import { sizes4, type Tensor, tensor } from "./tensor.ts";

/** Geometry of average pooling. */
export interface AveragePoolOptions extends PoolOptions {
  /** Whether padding counts as zeros (PyTorch's default); otherwise each window divides by its inputs alone. */
  readonly countIncludePad: boolean;
}

/** Number that the sum of the window at (top, left) is divided by: what lies past the padding never counts. */
function divisor(
  input: Tensor,
  { countIncludePad, kernel, padding }: AveragePoolOptions,
  inside: number,
  [top, left]: readonly [number, number],
): number {
  if (!countIncludePad) return inside;
  const [, height, width] = sizes4(input);
  return Math.min(kernel, height + padding - top) * Math.min(kernel, width + padding - left);
}

/** The mean of each window of `input` `[batch, height, width, channels]`. */
export function averagePool(input: Tensor, options: AveragePoolOptions): Tensor {
  const output = tensor(pooledShape(input, options));
  forEachWindow(input, options, (o, inputs, window) => {
    for (const i of inputs) output.data[o] += input.data[i] / divisor(input, options, inputs.length, window);
  });
  return output;
}

/** Gradient of `averagePool`; of `input` only the shape matters. */
export function averagePoolBackward(dOutput: Tensor, input: Tensor, options: AveragePoolOptions): Tensor {
  const dInput = tensor(input.shape);
  forEachWindow(input, options, (o, inputs, window) => {
    for (const i of inputs) dInput.data[i] += dOutput.data[o] / divisor(input, options, inputs.length, window);
  });
  return dInput;
}

/** The mean over height and width: `[batch, height, width, channels]` to `[batch, channels]`. */
export function globalAveragePool(input: Tensor): Tensor {
  const [batch, height, width, channels] = sizes4(input);
  const output = tensor([batch, channels]);
  for (let n = 0; n < batch; n++) {
    for (let position = 0; position < height * width; position++) {
      for (let c = 0; c < channels; c++) {
        output.data[n * channels + c] += input.data[(n * height * width + position) * channels + c] / (height * width);
      }
    }
  }
  return output;
}

/** Gradient of `globalAveragePool` for an input of `inputShape`. */
export function globalAveragePoolBackward(dOutput: Tensor, inputShape: readonly number[]): Tensor {
  const dInput = tensor(inputShape);
  const [batch, height, width, channels] = sizes4(dInput);
  for (let n = 0; n < batch; n++) {
    for (let position = 0; position < height * width; position++) {
      for (let c = 0; c < channels; c++) {
        dInput.data[(n * height * width + position) * channels + c] = dOutput.data[n * channels + c] / (height * width);
      }
    }
  }
  return dInput;
}
