/**
 * Operations that move elements and compute nothing: transposition, slices, concatenation, padding, repetition.
 *
 * All are copies between regions of tensors; the gradient of a copy is the copy back.
 *
 * @module
 */

import { sizeOf } from "../tensor.ts";
import { type Operation, requireSize, scratch, shapeError, type Tensor } from "./operation.ts";
import { reduce } from "./reduce.ts";
import { copy, fill, type Region, repeated } from "./strided_copy.ts";
import { axisOf, broadcastShapes, stridesOf } from "./strides.ts";

/** A part of an input that appears in the output: a loop over `sizes`, which meets each element once on both sides. */
export interface Piece {
  readonly input: Tensor;
  readonly sizes: readonly number[];
  readonly source: Omit<Region, "tensor">;
  readonly destination: Omit<Region, "tensor">;
}

/**
 * The operation that copies pieces of its inputs into an output of `shape`.
 *
 * @param value of the elements that no piece covers
 */
export function move(
  kind: string,
  name: string,
  shape: readonly number[],
  pieces: readonly Piece[],
  value = 0,
): Operation {
  const output = scratch(name, shape);
  const covered = pieces.reduce((sum, { sizes }) => sum + sizeOf(sizes), 0) === sizeOf(shape);
  return {
    kind,
    inputs: pieces.map(({ input }) => input),
    output,
    forward: () => [
      ...(covered ? [] : [fill(`${name} fill`, output, value)]),
      ...pieces.map(({ input, sizes, source, destination }) =>
        copy(`${name} of ${input.name}`, sizes, { ...source, tensor: input }, { ...destination, tensor: output })
      ),
    ],
    backward: (_target, dOutput, gradientOf) =>
      pieces.flatMap(({ input, sizes, source, destination }) => {
        const slot = gradientOf(input);
        if (slot === undefined) return [];
        const { tensor, accumulate } = slot;
        const label = `${name} gradient of ${input.name}`;
        const whole = accumulate || sizeOf(sizes) === sizeOf(input.shape);
        return [
          ...(whole ? [] : [fill(`${label} fill`, tensor, 0)]),
          copy(label, sizes, { ...destination, tensor: dOutput }, { ...source, tensor }, { accumulate }),
        ];
      }),
  };
}

const at = (strides: readonly number[], offset = 0) => ({ strides, offset });

/** Reorders axes: axis i of the output is axis `permutation[i]` of the input. */
export function transpose(name: string, input: Tensor, permutation: readonly number[]): Operation {
  const rank = input.shape.length;
  const order = permutation.map((axis) => axisOf("transpose", axis, rank));
  if (order.length !== rank || new Set(order).size !== rank) {
    throw shapeError("transpose", `[${permutation}] for [${input.shape}]`, `a permutation of ${rank} axes is required`);
  }
  const shape = order.map((axis) => input.shape[axis]), strides = stridesOf(input.shape);
  const source = at(order.map((axis) => strides[axis]));
  return move("transpose", name, shape, [{ input, sizes: shape, source, destination: at(stridesOf(shape)) }]);
}

/** Elements `start`, `start + step`, ... before `end` of one axis, as in numpy: negative ones count from the end. */
export interface SliceRange {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  /** Not 0; default 1. */
  readonly step?: number;
}

/** First element and number of elements of a range on an axis of `size`. */
function clampRange({ start, end, step = 1 }: SliceRange, size: number): { first: number; count: number } {
  if (!Number.isInteger(step) || step === 0) {
    throw new RangeError(`Cannot build slice: step is ${step}, but an integer other than 0 is required`);
  }
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (n: number) => Math.min(high, Math.max(low, n < 0 ? n + size : n));
  const first = clamp(start);
  return { first, count: Math.ceil((clamp(end) - first) / step) };
}

/** The elements of `ranges`; axes that are not named are kept whole. */
export function slice(name: string, input: Tensor, ranges: readonly SliceRange[]): Operation {
  const shape = [...input.shape], strides = stridesOf(input.shape);
  let offset = 0;
  for (const range of ranges) {
    const axis = axisOf("slice", range.axis, shape.length);
    const { first, count } = clampRange(range, input.shape[axis]);
    if (!(count > 0)) {
      const found = `${range.start} to ${range.end} of axis ${axis} of [${input.shape}]`;
      throw shapeError("slice", found, "at least one element is required");
    }
    offset += first * strides[axis];
    strides[axis] *= range.step ?? 1;
    shape[axis] = count;
  }
  const source = at(strides, offset);
  return move("slice", name, shape, [{ input, sizes: shape, source, destination: at(stridesOf(shape)) }]);
}

/** Cuts an axis into parts of the given sizes: one operation for each. */
export function split(name: string, input: Tensor, axis: number, sizes: readonly number[]): Operation[] {
  const along = axisOf("split", axis, input.shape.length);
  sizes.forEach((size) => requireSize("split", "a part's size", size));
  if (sizes.reduce((sum, size) => sum + size, 0) !== input.shape[along]) {
    throw shapeError("split", `parts of [${sizes}]`, `a sum of ${input.shape[along]} is required`);
  }
  let start = 0;
  return sizes.map((size, part) => {
    const range = { axis: along, start, end: start + size };
    start += size;
    return slice(`${name} part ${part}`, input, [range]);
  });
}

/** Joins tensors along an axis, by default the last (the channels). */
export function concat(name: string, inputs: readonly Tensor[], axis = -1): Operation {
  if (inputs.length === 0) throw shapeError("concat", "no tensors", "at least one is required");
  const shape = [...inputs[0].shape], along = axisOf("concat", axis, shape.length);
  const others = (tensor: Tensor) => tensor.shape.map((size, other) => other === along ? "*" : size).join();
  if (inputs.some((input) => others(input) !== others(inputs[0]))) {
    const found = inputs.map((input) => `[${input.shape}]`).join(" ");
    throw shapeError("concat", found, `equal sizes but for axis ${along} are required`);
  }
  shape[along] = inputs.reduce((sum, input) => sum + input.shape[along], 0);
  const strides = stridesOf(shape);
  let offset = 0;
  const pieces = inputs.map((input): Piece => {
    const destination = at(strides, offset);
    offset += input.shape[along] * strides[along];
    return { input, sizes: input.shape, source: at(stridesOf(input.shape)), destination };
  });
  return move("concat", name, shape, pieces);
}

/** How {@linkcode pad} widens: elements before and after the input's along each axis. */
export interface PadOptions {
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** What the new elements are; default 0. */
  readonly value?: number;
}

/** Surrounds the input by a constant. */
export function pad(name: string, input: Tensor, { before, after, value = 0 }: PadOptions): Operation {
  const rank = input.shape.length;
  if (before.length !== rank || after.length !== rank) {
    throw shapeError(
      "pad",
      `[${before}] and [${after}] for [${input.shape}]`,
      `${rank} sizes on each side are required`,
    );
  }
  [...before, ...after].forEach((size) => requireSize("pad", "padding", size, 0));
  const shape = input.shape.map((size, axis) => before[axis] + size + after[axis]);
  const strides = stridesOf(shape);
  const destination = at(strides, before.reduce((offset, size, axis) => offset + size * strides[axis], 0));
  const piece = { input, sizes: input.shape, source: at(stridesOf(input.shape)), destination };
  return move("pad", name, shape, [piece], value);
}

/** Repeats axes of size 1, and new leading axes, to `shape`, as numpy broadcasts. */
export function expand(name: string, input: Tensor, shape: readonly number[]): Operation {
  if (broadcastShapes("expand", input.shape, shape).join() !== shape.join()) {
    throw shapeError(
      "expand",
      `[${input.shape}] to [${shape}]`,
      "a shape to which the input can be repeated is required",
    );
  }
  const output = scratch(name, shape);
  const destination = { tensor: output, ...at(stridesOf(shape)) };
  return {
    kind: "expand",
    inputs: [input],
    output,
    forward: () => [copy(`${name} forward`, shape, repeated(input, input.shape, shape), destination)],
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      const label = `${name} gradient`;
      return reduce({ label, shape, result: input.shape, term: "x", operands: [dOutput], slot });
    },
  };
}
