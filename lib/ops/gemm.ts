/**
 * Tile choices that the matrix-product kernels share.
 *
 * @module
 */

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

/** Columns per lane: as wide as divides the columns of a group without leaving most lanes idle. */
export function columnWidth(columns: number, lanes: number): 1 | 2 | 4 {
  return columnWidths(columns, lanes)[0];
}

/** Columns per lane that are possible, {@linkcode columnWidth} first, then narrower ones. */
export function columnWidths(columns: number, lanes: number): (1 | 2 | 4)[] {
  const widths = ([4, 2, 1] as const).filter((width) => columns % width === 0 && columns > (width / 2) * lanes);
  return widths.length > 0 ? widths : [1];
}
