/**
 * Reference of sums and means over axes.
 *
 * @module
 */

import { broadcastTo, sumTo } from "./indices.ts";
import { type Tensor, tensor } from "./tensor.ts";
import type { Twin } from "./twin.ts";

const keptShape = (input: Tensor, axes: readonly number[]) => input.shape.map((n, axis) => axes.includes(axis) ? 1 : n);

function outputShape(input: Tensor, { axes, keepDims }: { axes: number[]; keepDims: boolean }): readonly number[] {
  return keepDims ? keptShape(input, axes) : input.shape.filter((_, axis) => !axes.includes(axis));
}

function divisor(input: Tensor, { axes, mean }: { axes: number[]; mean: boolean }): number {
  return mean ? axes.reduce((product, axis) => product * input.shape[axis], 1) : 1;
}

/** Operand `input`; `config` holds the axes (not negative), `keepDims`, and whether it is a `mean`. */
export const reduce: Twin = {
  forward({ input }, config) {
    const sum = sumTo(input, keptShape(input, config.axes));
    return tensor(outputShape(input, config), sum.data.map((x) => x / divisor(input, config)));
  },
  backward(dOutput, { input }, config) {
    const kept = tensor(keptShape(input, config.axes), dOutput.data.map((d) => d / divisor(input, config)));
    return { input: broadcastTo(kept, input.shape) };
  },
};
