/**
 * Reference of flattening. The order is PyTorch's (channel, row, column), so that the weights of a linear layer behind it
 * mean the same as in a PyTorch file; the layout of the activation itself is NHWC.
 *
 * @module
 */

import { nchwToNhwc, nhwcToNchw } from "./layout.ts";
import { sizes4, type Tensor, tensor } from "./tensor.ts";

/** `[batch, height, width, channels]` to `[batch, channels · height · width]`. */
export function flatten(input: Tensor): Tensor {
  const [batch, height, width, channels] = sizes4(input);
  return tensor([batch, channels * height * width], nhwcToNchw(input).data);
}

/** Gradient of `flatten` for an input of `inputShape`. */
export function flattenBackward(dOutput: Tensor, inputShape: readonly number[]): Tensor {
  const [batch, height, width, channels] = inputShape;
  return nchwToNhwc(tensor([batch, channels, height, width], dOutput.data));
}
