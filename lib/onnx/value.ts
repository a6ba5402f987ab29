/**
 * Values of a graph under import: small ones known on the host, all others tensors on the device.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { Tensor } from "../ops/operation.ts";
import { type HostTensor, sizeOf } from "../tensor.ts";

/** Most elements of a tensor that is computed on the host: masks and index tables are far below. */
const MAX_HOST_ELEMENTS = 2 ** 24;

/** Floating-point types of `onnx.TensorProto.DataType`: float, float16, double, bfloat16. */
export const FLOAT_TYPES: readonly number[] = [1, 10, 11, 16];

/** What the elements of a host value are; integers hold 53 bits. */
export type HostType = "float" | "integer" | "boolean";

/** A tensor known when the graph is built, row-major. */
export interface HostValue {
  readonly place: "host";
  readonly type: HostType;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/**
 * A tensor on the device. ONNX's axes lie in memory in the order `order`, outermost first: an image [N, C, H, W] that
 * the engine holds as [N, H, W, C] has the order [0, 2, 3, 1]. The tensor's own shape may leave out, or add, sizes of 1.
 */
export interface DeviceValue {
  readonly place: "device";
  readonly tensor: Tensor;
  /** In ONNX's order. */
  readonly shape: readonly number[];
  readonly order: readonly number[];
}

/** A value of the graph. */
export type Value = HostValue | DeviceValue;

/** The axes 0 .. rank - 1. */
export function identityOrder(rank: number): number[] {
  return Array.from({ length: rank }, (_, axis) => axis);
}

/** Elements of a shape, where axes of size 0 count as 1: loops go over the others all the same. */
export function workOf(shape: readonly number[]): number {
  return sizeOf(shape.map((n) => Math.max(n, 1)));
}

/** Refuses a tensor that is too large for the host. */
export function checkedHostSize(shape: readonly number[]): number {
  if (!shape.every((n) => Number.isInteger(n) && n >= 0) || !(workOf(shape) <= MAX_HOST_ELEMENTS)) {
    throw new FormatError(`a constant of shape [${shape}] has more than ${MAX_HOST_ELEMENTS} elements, or no size`);
  }
  return sizeOf(shape);
}

/** A host value over numbers; floats are rounded to float32, integers must be exact. */
export function hostValue(type: HostType, shape: readonly number[], data: ArrayLike<number>): HostValue {
  const size = checkedHostSize(shape);
  if (data.length !== size) throw new FormatError(`${data.length} elements cannot have the shape [${shape}]`);
  return { place: "host", type, shape, data: new Float64Array(type === "float" ? new Float32Array(data) : data) };
}

/** A list of integers, as shapes are. */
export function integers(values: readonly number[]): HostValue {
  return hostValue("integer", [values.length], values);
}

/** A file's tensor as a host value. */
export function fromHostTensor({ dtype, shape, data }: HostTensor): HostValue {
  const type = dtype === "bool" ? "boolean" : /float/.test(dtype) ? "float" : "integer";
  checkedHostSize(shape);
  const numbers = data instanceof BigInt64Array ? Float64Array.from(data, Number) : data;
  return hostValue(type, shape, numbers);
}

/** Whether a tensor of a file holds floating-point numbers. */
export function isFloat({ dtype }: HostTensor): boolean {
  return /float/.test(dtype);
}
