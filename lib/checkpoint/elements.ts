/**
 * Elements of tensors as little-endian bytes, and back.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { DType, HostTensor, TensorData } from "../tensor.ts";
import { type Budget, spend } from "./budget.ts";
import { narrowBfloat16, narrowFloat16, widenBfloat16, widenFloat16 } from "./half.ts";

/** Elements as they lie in a file: 16-bit floats are not widened yet. */
export type RawData = TensorData | Uint16Array;

/** Bytes that one element of each type takes in a file. */
export const ELEMENT_BYTES: Readonly<Record<DType, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

const RAW_ARRAYS = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** A zeroed array for `length` elements as a file holds them. */
export function allocateRaw(dtype: DType, length: number): RawData {
  return new RAW_ARRAYS[dtype](length);
}

/** `bytes` as elements: a view where their place in memory allows it, else a copy that `budget` pays for. */
export function viewRaw(dtype: DType, bytes: Uint8Array, budget: Budget): RawData {
  const size = ELEMENT_BYTES[dtype];
  let { buffer, byteOffset } = bytes;
  if (byteOffset % size !== 0) {
    spend(budget, bytes.length, `a tensor of ${bytes.length} bytes`);
    // Not slice(), which is a view where the bytes are a Node.js Buffer.
    ({ buffer, byteOffset } = new Uint8Array(bytes));
  }
  const View = RAW_ARRAYS[dtype] as new (buffer: ArrayBufferLike, byteOffset: number, length: number) => RawData;
  return new View(buffer, byteOffset, bytes.length / size);
}

/** Elements for computing: 16-bit floats become float32, the others are passed on. */
export function widen(dtype: DType, raw: RawData, budget: Budget): TensorData {
  if (!(raw instanceof Uint16Array)) return raw;
  spend(budget, raw.length * 4, `a ${dtype} tensor of ${raw.length} elements`);
  return dtype === "bfloat16" ? widenBfloat16(raw) : widenFloat16(raw);
}

/**
 * A dense tensor over a file's bytes, which must hold exactly its elements. Where alignment allows it the tensor is a
 * view of `bytes`, not a copy.
 */
export function decodeTensor(dtype: DType, shape: readonly number[], bytes: Uint8Array, budget: Budget): HostTensor {
  return { dtype, shape, data: widen(dtype, viewRaw(dtype, bytes, budget), budget) };
}

/**
 * A tensor's elements as little-endian bytes: a view of its data, except that `float16` and `bfloat16` are narrowed to
 * their own width, ties to even. Throws `TypeError` where the array does not fit the element type or the shape.
 */
export function encodeElements(tensor: HostTensor): Uint8Array {
  const { dtype, shape, data } = tensor;
  const required = RAW_ARRAYS[dtype] === Uint16Array ? Float32Array : RAW_ARRAYS[dtype];
  if (!(data instanceof required)) {
    throw new TypeError(
      `Cannot write a ${dtype} tensor from a ${data?.constructor?.name}: ${required.name} is required`,
    );
  }
  const size = shape.reduce((product, n) => product * n, 1);
  if (data.length !== size) {
    throw new TypeError(`Cannot write a tensor of shape [${shape}] from ${data.length} elements: it has ${size}`);
  }
  let raw: ArrayBufferView = data;
  if (dtype === "float16") raw = narrowFloat16(data as Float32Array);
  if (dtype === "bfloat16") raw = narrowBfloat16(data as Float32Array);
  return new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength);
}

/** Product of a shape that a file states; throws `FormatError` unless it is a list of sizes with a sane product. */
export function checkedSize(shape: readonly unknown[], what: string): number {
  let size = 1;
  for (const n of shape) {
    if (typeof n !== "number" || !Number.isSafeInteger(n) || n < 0) {
      throw new FormatError(`${what} has the shape [${shape.map(String)}]: sizes are integers from 0 up`);
    }
    size *= n;
  }
  if (shape.length > 64 || !Number.isSafeInteger(size)) {
    throw new FormatError(`${what} has ${shape.length} dimensions and ${size} elements: no tensor is so large`);
  }
  return size;
}

/** Swap the bytes of every `size`-byte element, as big-endian files need; the result is a copy. */
export function swapBytes(bytes: Uint8Array, size: number): Uint8Array {
  const swapped = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) swapped[i] = bytes[i - (i % size) + size - 1 - (i % size)];
  return swapped;
}
