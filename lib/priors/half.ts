/**
 * Learned priors in half precision. Variances lie near 1e-6, where binary16 has few digits left: each tensor is stored
 * over a power of two that puts its largest element near the top of the format's range, and what rounding did to it is
 * measured.
 *
 * @module
 */

import { narrowFloat16, widenFloat16 } from "../checkpoint/half.ts";
import { FormatError } from "../errors.ts";
import type { HostTensor } from "../tensor.ts";

/** What rounding did to a tensor's elements. */
export interface StorageError {
  /** Most of a single element, relative to itself. */
  readonly relative: number;
  /** Most of a single element, relative to the tensor's largest. */
  readonly ofLargest: number;
}

/** A tensor in half precision. */
export interface HalfTensor {
  /** float16: the elements over `scale`. */
  readonly tensor: HostTensor;
  /** A power of two. */
  readonly scale: number;
  readonly error: StorageError;
}

/** Exponent of the largest element once it is scaled: binary16 ends at 65504. */
const TOP_EXPONENT = 14;
/** The least number above zero in binary16. */
const LEAST = 2 ** -24;

function largestOf(data: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < data.length; i++) largest = Math.max(largest, Math.abs(data[i]));
  return largest;
}

/** Elements below the least power of two of float32, 2^-126, are zero in half precision at any scale. */
function scaleOf(largest: number): number {
  return largest < 2 ** -100 ? 1 : 2 ** (Math.floor(Math.log2(largest)) - TOP_EXPONENT);
}

function errorOf(exact: Float32Array, rounded: Float32Array, scale: number, largest: number): StorageError {
  let relative = 0, apart = 0;
  for (let i = 0; i < exact.length; i++) {
    const difference = Math.abs(rounded[i] * scale - exact[i]);
    if (difference === 0) continue;
    apart = Math.max(apart, difference);
    relative = Math.max(relative, difference / Math.abs(exact[i]));
  }
  return { relative, ofLargest: largest === 0 ? 0 : apart / largest };
}

/**
 * A tensor rounded to half precision.
 *
 * @param positive elements above zero stay so, as a variance must
 */
export function halved(shape: readonly number[], data: Float32Array, positive = false): HalfTensor {
  const largest = largestOf(data), scale = scaleOf(largest);
  const scaled = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const value = data[i] / scale;
    scaled[i] = positive && value > 0 ? Math.max(value, LEAST) : value;
  }
  const error = errorOf(data, widenFloat16(narrowFloat16(scaled)), scale, largest);
  return { tensor: { dtype: "float16", shape, data: scaled }, scale, error };
}

/** The elements of a tensor that {@linkcode halved} made, once they are read back. */
export function unscaled(tensor: HostTensor, scale: unknown, what: string): HostTensor {
  if (typeof scale !== "number" || !(scale > 0 && Number.isInteger(Math.log2(scale)))) {
    throw new FormatError(`its scale of ${what} is ${JSON.stringify(scale)}; a power of two is required`);
  }
  const { shape } = tensor, data = Float32Array.from(tensor.data as Float32Array, (value) => value * scale);
  return { dtype: "float32", shape, data };
}
