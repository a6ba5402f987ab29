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

/** Number that a window's sum is divided by. */
function divisor(options: AveragePoolOptions, inside: number): number {
  return options.countIncludePad ? options.kernel ** 2 : inside;
}

/** The mean of each window of `input` `[batch, height, width, channels]`. */
export function averagePool(input: Tensor, options: AveragePoolOptions): Tensor {
  const output = tensor(pooledShape(input, options));
  forEachWindow(input, options, (o, inputs) => {
    for (const i of inputs) output.data[o] += input.data[i] / divisor(options, inputs.length);
  });
  return output;
}

/** Gradient of `averagePool`; of `input` only the shape matters. */
export function averagePoolBackward(dOutput: Tensor, input: Tensor, options: AveragePoolOptions): Tensor {
  const dInput = tensor(input.shape);
  forEachWindow(input, options, (o, inputs) => {
    for (const i of inputs) dInput.data[i] += dOutput.data[o] / divisor(options, inputs.length);
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
