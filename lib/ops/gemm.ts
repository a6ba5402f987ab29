/**
 * Tile choices that the matrix-product kernels share.
 *
 * @module
 */

import { foldGroups, GRID_X } from "./elementwise.ts";
import type { Dispatch } from "./operation.ts";

/**
 * Reads of each number from which on an image of a binding pays for the copy into it, which costs about as much as a read
 * of a buffer, and the host's time to say so (`kernels/image.ts`; measured on lavapipe, Mesa 22.3.6).
 */
const LEAST_READS = 2.5;

/** Lanes of a workgroup where subgroups cannot be used and operands go through workgroup memory. */
const LANES_WITHOUT_SUBGROUPS = 16;

/** Arithmetic below which a longer kernel text takes longer to build than a training run would save. */
const LEAST_FLOPS = 2e7;

/** Whether a product of so much arithmetic is worth a kernel text that is longer, and faster. */
export function worthLongText(flops: number): boolean {
  return flops >= LEAST_FLOPS;
}

/** Which of the first bindings to read as images, by how often a launch reads each number of them. */
export function readAsImages(...reads: readonly number[]): number[] {
  return reads.flatMap((times, binding) => times >= LEAST_READS ? [binding] : []);
}

/** How a kernel shares operands among its lanes. */
export function lanesOf(subgroupSize: number): { S: number; SUBGROUPS: number } {
  return subgroupSize > 0 ? { S: subgroupSize, SUBGROUPS: 1 } : { S: LANES_WITHOUT_SUBGROUPS, SUBGROUPS: 0 };
}

/** Bytes of a product's weights up to which they stay in the cache of a core while workgroups walk through all columns. */
const MOST_CACHED_BYTES = 2 ** 21;

/** What the workgroups of a product share out. */
export interface Shares {
  /** Blocks of rows. */
  readonly blocks: number;
  /** Blocks of columns, those of all groups of channels. */
  readonly columnBlocks: number;
  /** Classes of rows that meet different taps, and so take different times. */
  readonly classes?: number;
  /** Numbers that the weights are. */
  readonly weights: number;
}

/**
 * The order of a product's workgroups. Neighbours that share rows find these, and the rest of the output's lines of memory,
 * in the cache: 5 to 20 % of the time of convolutions with few input channels. Where weights are too large to stay there
 * meanwhile, neighbours share columns. Classes take turns, since a CPU's threads take equal ranges of workgroups.
 */
export function orderOf(
  { blocks, columnBlocks, classes = 1, weights }: Shares,
): Pick<Dispatch, "constants" | "groups"> {
  const isCached = 4 * weights <= MOST_CACHED_BYTES;
  const INNER = isCached ? columnBlocks * classes : classes, OUTER = isCached ? 1 : columnBlocks;
  const [x, y] = foldGroups(blocks * INNER);
  return { constants: { INNER, OUTER, GRID_X }, groups: [x, y, OUTER] };
}

/** Columns per lane: as wide as divides the columns of a group without leaving most lanes idle. */
export function columnWidth(columns: number, lanes: number): 1 | 2 | 4 {
  return columnWidths(columns, lanes)[0];
}

/** Columns per lane that are possible, {@linkcode columnWidth} first, then narrower ones. */
export function columnWidths(columns: number, lanes: number): (1 | 2 | 4)[] {
  const widths = ([4, 2, 1] as const).filter((width) => columns % width === 0 && columns > (width / 2) * lanes);
  return widths.length > 0 ? widths : [1];
}
