/**
 * Reference of softmax along the last axis.
 *
 * @module
 */

import { type Tensor, tensor } from "./tensor.ts";
import type { Twin } from "./twin.ts";

/** Applies a function to each row along the last axis. */
export function mapRows(
  t: Tensor,
  length: number,
  fn: (row: Float64Array, index: number) => ArrayLike<number>,
): Tensor {
  const output = tensor(t.shape);
  for (let at = 0; at < t.data.length; at += length) {
    output.data.set(Float64Array.from(fn(t.data.subarray(at, at + length), at / length)), at);
  }
  return output;
}

/** Operand `input`. */
export const softmax: Twin = {
  forward: ({ input }) =>
    mapRows(input, input.shape[input.shape.length - 1], (row) => {
      const largest = Math.max(...row), exponentials = row.map((x) => Math.exp(x - largest));
      const sum = exponentials.reduce((a, b) => a + b);
      return exponentials.map((x) => x / sum);
    }),
  backward(dOutput, { input }, config) {
    const length = input.shape[input.shape.length - 1], output = softmax.forward({ input }, config);
    const dInput = mapRows(output, length, (row, index) => {
      const d = dOutput.data.subarray(index * length, (index + 1) * length);
      const mean = row.reduce((sum, y, i) => sum + y * d[i], 0);
      return row.map((y, i) => y * (d[i] - mean));
    });
    return { input: dInput };
  },
};
