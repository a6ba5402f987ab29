/**
 * Rows of NumPy arrays in files, without reading the rest.
 *
 * @module
 */

import { readNpy, readNpyHeader } from "../checkpoint/npy.ts";
import { FormatError } from "../errors.ts";
import { readRange } from "./planes.ts";

/** The header of an array of a few axes fits. */
const HEADER_BYTES = 4096;

/** Which rows. */
export interface RowRange {
  /** First row; default 0. */
  readonly from?: number;
  /** How many; default all from there on. */
  readonly count?: number;
  /** Rows that the whole array must have. */
  readonly total?: number;
}

/**
 * Bytes of rows of an array of uint8 in C order.
 *
 * @param row shape of one row
 * @throws {FormatError} if the array is damaged, of another type or shape, or has not the rows
 */
export async function readNpyRows(path: string, row: readonly number[], range: RowRange = {}): Promise<Uint8Array> {
  const { size } = await Deno.stat(path);
  const { dtype, shape, fortran, start } = readNpyHeader(await readRange(path, 0, Math.min(size, HEADER_BYTES)), path);
  if (dtype !== "uint8" || fortran || shape.slice(1).join() !== row.join()) {
    throw new FormatError(
      `Cannot read ${path}: it is an array of ${dtype} of shape [${shape}]${fortran ? " in Fortran order" : ""}; ` +
        `uint8 of shape [n, ${row.join(", ")}] is required`,
    );
  }
  const rowBytes = row.reduce((product, n) => product * n, 1);
  if (size !== start + shape[0] * rowBytes) {
    throw new FormatError(
      `Cannot read ${path}: its ${shape[0]} rows take ${
        start + shape[0] * rowBytes
      } bytes, but the file has ${size}; ` +
        "download it again",
    );
  }
  const { from = 0, total = shape[0] } = range;
  const count = range.count ?? shape[0] - from;
  if (shape[0] !== total || from + count > shape[0]) {
    throw new FormatError(`Cannot read ${path}: it has ${shape[0]} rows; ${total} are required`);
  }
  return await readRange(path, start + from * rowBytes, count * rowBytes);
}

/**
 * An array of whole numbers from 0 on, of one axis, of any integer type.
 *
 * @throws {FormatError} if it is anything else
 */
export async function readNpyIntegers(path: string): Promise<Uint32Array> {
  const { dtype, shape, data } = readNpy(await Deno.readFile(path), path);
  const values = Array.from(data as ArrayLike<number | bigint>, Number);
  if (shape.length !== 1 || !/int/.test(dtype) || !values.every((value) => value >= 0 && value <= 0xffffffff)) {
    throw new FormatError(
      `Cannot read ${path}: it is an array of ${dtype} of shape [${shape}]; whole numbers from 0 on of shape [n] are ` +
        "required",
    );
  }
  return Uint32Array.from(values);
}
