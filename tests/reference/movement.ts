/**
 * References of operations that only move elements. Each states, for every element of the output, which element of which
 * input it is (or none); values and gradients follow from that.
 *
 * @module
 */

import { forEachIndex, positionOf } from "./indices.ts";
import { type Tensor, tensor } from "./tensor.ts";
import type { Operands, Twin } from "./twin.ts";

/** An element of an input, by index, or `undefined` for one that is not from an input. */
type Origin = { readonly operand: string; readonly index: readonly number[] } | undefined;

interface Movement {
  // deno-lint-ignore no-explicit-any
  shape(operands: Operands, config: any): readonly number[];
  // deno-lint-ignore no-explicit-any
  origin(index: readonly number[], operands: Operands, config: any): Origin;
}

function twin({ shape, origin }: Movement): Twin {
  return {
    forward(operands, config) {
      const output = tensor(shape(operands, config));
      forEachIndex(output.shape, (index, at) => {
        const from = origin(index, operands, config);
        if (from === undefined) output.data[at] = config.value ?? 0;
        else output.data[at] = operands[from.operand].data[positionOf(operands[from.operand].shape, from.index)];
      });
      return output;
    },
    backward(dOutput, operands, config) {
      const gradients = Object.fromEntries(Object.entries(operands).map(([name, { shape }]) => [name, tensor(shape)]));
      forEachIndex(dOutput.shape, (index, at) => {
        const from = origin(index, operands, config);
        if (from === undefined) return;
        gradients[from.operand].data[positionOf(operands[from.operand].shape, from.index)] += dOutput.data[at];
      });
      return gradients;
    },
  };
}

/** `config.permutation`: axis i of the output is axis `permutation[i]` of `input`. */
export const transpose = twin({
  shape: ({ input }, { permutation }) => permutation.map((axis: number) => input.shape[axis]),
  origin(index, { input }, { permutation }) {
    return { operand: "input", index: input.shape.map((_, axis) => index[permutation.indexOf(axis)]) };
  },
});

/** Indices that Python's `range(size)[start:end:step]` gives. */
export function pythonRange(size: number, start: number, end: number, step: number): number[] {
  const chosen: number[] = [];
  const wrap = (n: number) => n < 0 ? n + size : n;
  const first = step > 0 ? Math.max(wrap(start), 0) : Math.min(wrap(start), size - 1);
  const isBefore = (i: number) => step > 0 ? i < Math.min(wrap(end), size) : i > Math.max(wrap(end), -1);
  for (let i = first; isBefore(i); i += step) chosen.push(i);
  return chosen;
}

/** Indices of each axis that `config.ranges` ({axis, start, end, step}) keep. */
function chosen(input: Tensor, ranges: { axis: number; start: number; end: number; step?: number }[]): number[][] {
  return input.shape.map((size, axis) => {
    const range = ranges.find((range) => range.axis === axis);
    return pythonRange(size, range?.start ?? 0, range?.end ?? size, range?.step ?? 1);
  });
}

/** `config.ranges`, as Python slices. */
export const slice = twin({
  shape: ({ input }, { ranges }) => chosen(input, ranges).map(({ length }) => length),
  origin(index, { input }, { ranges }) {
    const kept = chosen(input, ranges);
    return { operand: "input", index: index.map((i, axis) => kept[axis][i]) };
  },
});

/** `input0`, `input1`, ... joined along `config.axis`, which is not negative. */
export const concat = twin({
  shape(operands, { axis }) {
    const total = Object.values(operands).reduce((sum, { shape }) => sum + shape[axis], 0);
    return operands.input0.shape.map((size, other) => other === axis ? total : size);
  },
  origin(index, operands, { axis }) {
    let along = index[axis], part = 0;
    while (along >= operands[`input${part}`].shape[axis]) along -= operands[`input${part++}`].shape[axis];
    return { operand: `input${part}`, index: index.map((i, other) => other === axis ? along : i) };
  },
});

/** `config.before` and `config.after` elements of `config.value` along each axis. */
export const pad = twin({
  shape: ({ input }, { before, after }) => input.shape.map((size, axis) => before[axis] + size + after[axis]),
  origin(index, { input }, { before }) {
    const inner = index.map((i, axis) => i - before[axis]);
    const inside = inner.every((i, axis) => i >= 0 && i < input.shape[axis]);
    return inside ? { operand: "input", index: inner } : undefined;
  },
});

/** `input` repeated to `config.shape`. */
export const expand = twin({
  shape: (_, { shape }) => shape,
  origin: (index) => ({ operand: "input", index }),
});

/** Lines `indices` of `input` along `config.axis`, which is not negative. */
export const gather: Twin = {
  forward: ({ input, indices }, config) => gathered(indices.data).forward({ input }, config),
  backward: (dOutput, { input, indices }, config) => gathered(indices.data).backward(dOutput, { input }, config),
};

function gathered(indices: ArrayLike<number>): Twin {
  return twin({
    shape: ({ input }, { axis }) => input.shape.map((size, other) => other === axis ? indices.length : size),
    origin: (index, _, { axis }) => ({
      operand: "input",
      index: index.map((i, other) => other === axis ? indices[i] : i),
    }),
  });
}
