/**
 * Plain loops over the indices of tensors of any rank, for references of operations that broadcast or move elements.
 *
 * @module
 */

import { type Tensor, tensor } from "./tensor.ts";

/** Visits every index of a shape in row-major order, with its position in that order. */
export function forEachIndex(
  shape: readonly number[],
  visit: (index: readonly number[], position: number) => void,
): void {
  const size = shape.reduce((product, n) => product * n, 1);
  for (let position = 0; position < size; position++) {
    const index: number[] = [];
    let rest = position;
    for (const n of shape.toReversed()) {
      index.unshift(rest % n);
      rest = Math.floor(rest / n);
    }
    visit(index, position);
  }
}

/** Position of an index in a tensor of `shape`; sizes of 1 repeat, and leading axes that it lacks do not count. */
export function positionOf(shape: readonly number[], index: readonly number[]): number {
  const own = index.slice(index.length - shape.length);
  return shape.reduce((position, n, axis) => position * n + (n === 1 ? 0 : own[axis]), 0);
}

/** `t` repeated to `shape`. */
export function broadcastTo(t: Tensor, shape: readonly number[]): Tensor {
  const output = tensor(shape);
  forEachIndex(shape, (index, at) => output.data[at] = t.data[positionOf(t.shape, index)]);
  return output;
}

/** Gradient of {@linkcode broadcastTo}: the sum over all repetitions. */
export function sumTo(t: Tensor, shape: readonly number[]): Tensor {
  const output = tensor(shape);
  forEachIndex(t.shape, (index, at) => output.data[positionOf(shape, index)] += t.data[at]);
  return output;
}

/** The shape to which numpy broadcasts both. */
export function commonShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const at = (shape: readonly number[], axis: number) => shape[axis - rank + shape.length] ?? 1;
  return Array.from({ length: rank }, (_, axis) => at(a, axis) === 1 ? at(b, axis) : at(a, axis));
}
