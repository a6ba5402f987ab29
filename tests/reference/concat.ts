/**
 * Reference of concatenation along the channels, the last axis.
 *
 * @module
 */

import { type Tensor, tensor } from "./tensor.ts";

/**
 * Puts tensors `[..., channels_k]` of equal leading sizes beside each other: `[..., Σ channels_k]`.
 *
 * @throws {TypeError} where leading sizes differ.
 */
export function concat(inputs: readonly Tensor[]): Tensor {
  const lead = inputs[0].shape.slice(0, -1);
  for (const input of inputs) {
    if (input.shape.slice(0, -1).join() !== lead.join()) {
      throw new TypeError(
        `Cannot concatenate [${input.shape}] with [${inputs[0].shape}]: equal sizes but for the channels are required`,
      );
    }
  }
  const positions = lead.reduce((product, n) => product * n, 1);
  const rows: number[] = [];
  for (let position = 0; position < positions; position++) {
    for (const { shape, data } of inputs) {
      const channels = shape[shape.length - 1];
      for (let c = 0; c < channels; c++) rows.push(data[position * channels + c]);
    }
  }
  const channels = inputs.reduce((sum, { shape }) => sum + shape[shape.length - 1], 0);
  return tensor([...lead, channels], rows);
}

/** Gradients of `concat` for inputs that had `channels` channels each. */
export function concatBackward(dOutput: Tensor, channels: readonly number[]): Tensor[] {
  const lead = dOutput.shape.slice(0, -1), total = dOutput.shape[dOutput.shape.length - 1];
  let start = 0;
  return channels.map((count) => {
    const from = start;
    start += count;
    return tensor([...lead, count], dOutput.data.filter((_, i) => i % total >= from && i % total < from + count));
  });
}
