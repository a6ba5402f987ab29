/**
 * Reference of layer normalisation.
 *
 * @module
 */

import { mapRows } from "./softmax.ts";
import { type Tensor, tensor } from "./tensor.ts";
import type { Operands, Twin } from "./twin.ts";

const average = (values: ArrayLike<number>) => Array.from(values).reduce((sum, x) => sum + x, 0) / values.length;

function lengthOf(input: Tensor, axes: number): number {
  return input.shape.slice(-axes).reduce((product, n) => product * n, 1);
}

function normalised(input: Tensor, length: number, epsilon: number): { normal: Tensor; deviations: number[] } {
  const deviations: number[] = [];
  const normal = mapRows(input, length, (row, index) => {
    const mean = average(row);
    deviations[index] = Math.sqrt(average(row.map((x) => (x - mean) ** 2)) + epsilon);
    return row.map((x) => (x - mean) / deviations[index]);
  });
  return { normal, deviations };
}

/** Operands `input` and, where given, `weight` and `bias`; `config` holds `axes` and `epsilon`. */
export const layerNorm: Twin = {
  forward({ input, weight, bias }, { axes, epsilon }) {
    const length = lengthOf(input, axes);
    const affine = (x: number, i: number) => x * (weight?.data[i] ?? 1) + (bias?.data[i] ?? 0);
    return mapRows(normalised(input, length, epsilon).normal, length, (row) => row.map(affine));
  },
  backward(dOutput, { input, weight, bias }, { axes, epsilon }): Operands {
    const length = lengthOf(input, axes);
    const { normal, deviations } = normalised(input, length, epsilon);
    const dInput = mapRows(dOutput, length, (row, index) => {
      const n = normal.data.subarray(index * length, (index + 1) * length);
      const h = row.map((d, i) => d * (weight?.data[i] ?? 1));
      const along = average(h.map((d, i) => d * n[i]));
      return h.map((d, i) => (d - average(h) - n[i] * along) / deviations[index]);
    });
    const overRows = (term: (d: number, n: number) => number, shape: readonly number[]) => {
      const sum = tensor(shape);
      dOutput.data.forEach((d, i) => sum.data[i % length] += term(d, normal.data[i]));
      return sum;
    };
    return {
      input: dInput,
      ...(weight && { weight: overRows((d, n) => d * n, weight.shape) }),
      ...(bias && { bias: overRows((d) => d, bias.shape) }),
    };
  },
};
