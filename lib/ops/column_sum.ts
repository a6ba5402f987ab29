/**
 * Ordered sums that gradients of shared parameters need.
 *
 * @module
 */

import columnSumSource from "../../kernels/column_sum.wgsl" with { type: "text" };
import reduceSource from "../../kernels/reduce_partials.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import { type Dispatch, type GradientSlot, scratch, type Tensor } from "./operation.ts";

/** Fewest rows worth a chunk, and the most chunks. */
const LEAST_ROWS = 64;
const MOST_CHUNKS = 256;

/** Splits rows into ranges that depend on the shape alone, so that sums do not depend on the device. */
export function chunksOf(rows: number): { chunkRows: number; chunks: number } {
  const chunkRows = Math.max(LEAST_ROWS, Math.ceil(rows / MOST_CHUNKS));
  return { chunkRows, chunks: Math.ceil(rows / chunkRows) };
}

/** Adds the partial sums [splits, ...] into a gradient, in order. */
export function reducePartials(label: string, partial: Tensor, splits: number, slot: GradientSlot): Dispatch {
  const size = sizeOf(partial.shape) / splits;
  const width = widthOf(size);
  return loop({
    label,
    source: reduceSource,
    count: size / width,
    width,
    items: 1,
    constants: { SPLITS: splits, ACCUMULATE: slot.accumulate ? 1 : 0 },
    bindings: [partial, slot.tensor],
  });
}

/** Sums a tensor [..., C] over all but its last axis into a gradient [C]. */
export function columnSum(label: string, tensor: Tensor, slot: GradientSlot): Dispatch[] {
  const columns = tensor.shape[tensor.shape.length - 1];
  const rows = sizeOf(tensor.shape) / columns;
  const { chunkRows, chunks } = chunksOf(rows);
  const width = widthOf(columns);
  const partial = scratch(`${label} partials`, [chunks, columns]);
  return [
    loop({
      label,
      source: columnSumSource,
      count: chunks * (columns / width),
      width,
      items: 1,
      constants: { COLUMNS: columns, ROWS: rows, CHUNK_ROWS: chunkRows },
      bindings: [tensor, partial],
    }),
    reducePartials(`${label} reduction`, partial, chunks, slot),
  ];
}
