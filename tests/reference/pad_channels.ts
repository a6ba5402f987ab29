/**
 * Reference of the parameter-free shortcut of CIFAR ResNets ("option A" of He et al., arXiv 1512.03385, section 4.2):
 * every `stride`-th row and column, and channels of zeros on both sides.
 *
 * @module
 */

import { sizes4, type Tensor, tensor } from "./tensor.ts";

/** Geometry of the shortcut. */
export interface PadChannelsOptions {
  /** Step along height and width, from the first row and column. */
  readonly stride: number;
  /** Channels of zeros before the input's. */
  readonly before: number;
  /** Channels of zeros after the input's. */
  readonly after: number;
}

/** Visits every element that the shortcut copies. */
function forEachCopy(
  shape: readonly number[],
  { stride, before, after }: PadChannelsOptions,
  visit: (output: number, input: number) => void,
): void {
  const [batch, height, width, channels] = shape;
  const outHeight = Math.ceil(height / stride), outWidth = Math.ceil(width / stride);
  const outChannels = before + channels + after;
  for (let n = 0; n < batch; n++) {
    for (let h = 0; h < outHeight; h++) {
      for (let w = 0; w < outWidth; w++) {
        for (let c = 0; c < channels; c++) {
          visit(
            ((n * outHeight + h) * outWidth + w) * outChannels + before + c,
            ((n * height + h * stride) * width + w * stride) * channels + c,
          );
        }
      }
    }
  }
}

/** `[batch, height, width, channels]` to `[batch, ⌈height/stride⌉, ⌈width/stride⌉, before + channels + after]`. */
export function padChannels(input: Tensor, options: PadChannelsOptions): Tensor {
  const { stride, before, after } = options;
  const [batch, height, width, channels] = sizes4(input);
  const output = tensor([batch, Math.ceil(height / stride), Math.ceil(width / stride), before + channels + after]);
  forEachCopy(input.shape, options, (o, i) => output.data[o] = input.data[i]);
  return output;
}

/** Gradient of `padChannels` for an input of `inputShape`. */
export function padChannelsBackward(
  dOutput: Tensor,
  inputShape: readonly number[],
  options: PadChannelsOptions,
): Tensor {
  const dInput = tensor(inputShape);
  forEachCopy(inputShape, options, (o, i) => dInput.data[i] = dOutput.data[o]);
  return dInput;
}
