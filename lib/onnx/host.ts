/**
 * Tensors on the host: what shape arithmetic is made of.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { broadcastShapes, broadcastStrides, stridesOf } from "../ops/strides.ts";
import { checkedHostSize, type HostType, type HostValue, hostValue } from "./value.ts";

/** Positions of a strided view of a row-major array, in order. */
export function positions(shape: readonly number[], strides: readonly number[], offset = 0): Int32Array {
  const found = new Int32Array(checkedHostSize(shape));
  const index = shape.map(() => 0);
  let position = offset;
  for (let i = 0; i < found.length; i++) {
    found[i] = position;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position += strides[axis];
      if (++index[axis] < shape[axis]) break;
      position -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return found;
}

/** A strided view of a value, copied. */
export function strided(
  value: HostValue,
  shape: readonly number[],
  strides: readonly number[],
  offset = 0,
): HostValue {
  const from = positions(shape, strides, offset);
  const data = new Float64Array(from.length);
  for (let i = 0; i < data.length; i++) data[i] = value.data[from[i]];
  return { ...value, shape, data };
}

/** A value repeated to a shape as numpy broadcasts. */
export function expanded(value: HostValue, shape: readonly number[]): HostValue {
  return strided(value, shape, broadcastStrides(value.shape, shape));
}

/** Permuted axes. */
export function transposedHost(value: HostValue, permutation: readonly number[]): HostValue {
  const strides = stridesOf(value.shape);
  return strided(value, permutation.map((axis) => value.shape[axis]), permutation.map((axis) => strides[axis]));
}

/** Most elements that one function reads, of operands that are repeated to one shape. */
const MAX_OPERAND_ELEMENTS = 2 ** 26;

/** Applies a function to broadcast operands, element by element. */
export function zip(
  type: HostType,
  values: readonly HostValue[],
  fn: (...elements: number[]) => number,
): HostValue {
  const shape = broadcastShapes("a constant", ...values.map((value) => value.shape));
  const data = new Float64Array(checkedHostSize(shape));
  if (data.length * values.length > MAX_OPERAND_ELEMENTS) {
    throw new FormatError(
      `${values.length} operands of shape [${shape}] have more than ${MAX_OPERAND_ELEMENTS} elements together`,
    );
  }
  // Operands are stepped through, not expanded: there may be many.
  const strides = values.map((value) => broadcastStrides(value.shape, shape));
  const at = values.map(() => 0), index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = fn(...values.map((value, k) => value.data[at[k]]));
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      for (let k = 0; k < at.length; k++) at[k] += strides[k][axis];
      if (++index[axis] < shape[axis]) break;
      for (let k = 0; k < at.length; k++) at[k] -= strides[k][axis] * shape[axis];
      index[axis] = 0;
    }
  }
  if (type === "integer" && !data.every(Number.isSafeInteger)) {
    throw new FormatError("integer arithmetic left the whole numbers below 2^53");
  }
  return hostValue(type, shape, data);
}

/** Values joined along an axis. */
export function concatHost(values: readonly HostValue[], axis: number): HostValue {
  const [first] = values;
  const outer = first.shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const shape = first.shape.map((n, a) => a === axis ? values.reduce((sum, value) => sum + value.shape[a], 0) : n);
  for (const value of values) {
    if (value.shape.length !== shape.length || value.shape.some((n, a) => a !== axis && n !== shape[a])) {
      throw new FormatError(`a tensor of shape [${value.shape}] cannot be joined to one of [${first.shape}]`);
    }
  }
  const data = new Float64Array(checkedHostSize(shape));
  let offset = 0;
  for (let row = 0; row < outer && data.length > 0; row++) {
    for (const value of values) {
      const length = value.data.length / outer;
      data.set(value.data.subarray(row * length, (row + 1) * length), offset);
      offset += length;
    }
  }
  return hostValue(first.type, shape, data);
}
