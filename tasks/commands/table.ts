/**
 * What `inspect` says of one file, and tensors as a table.
 *
 * @module
 */

import { sizeOf } from "../../lib/tensor.ts";

/** One file or folder: the object for programs, the lines for people. */
export interface Description {
  readonly object: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

/** One tensor in a table. */
export interface TensorRow {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** Name, type, shape and size of each tensor in columns. */
export function tableOf(tensors: readonly TensorRow[]): string[] {
  const rows = tensors.map(({ name, dtype, shape }) => [name, dtype, `[${shape.join(", ")}]`, sizeOf(shape)]);
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => String(row[column]).length)));
  return rows.map((row) => "  " + row.map((cell, column) => String(cell).padEnd(widths[column] ?? 0)).join("  "));
}
