/**
 * Tile choices that the matrix-product kernels share.
 *
 * @module
 */

/** Lanes of a workgroup where subgroups cannot be used and operands go through workgroup memory. */
const LANES_WITHOUT_SUBGROUPS = 16;

/** Arithmetic below which a longer kernel text takes longer to build than a training run would save. */
const LEAST_FLOPS = 1e8;

/** Whether a product of so much arithmetic is worth a kernel text that is longer, and faster. */
export function worthLongText(flops: number): boolean {
  return flops >= LEAST_FLOPS;
}

/** How a kernel shares operands among its lanes. */
export function lanesOf(subgroupSize: number): { S: number; SUBGROUPS: number } {
  return subgroupSize > 0 ? { S: subgroupSize, SUBGROUPS: 1 } : { S: LANES_WITHOUT_SUBGROUPS, SUBGROUPS: 0 };
}

/** Columns per lane: as wide as divides the columns of a group without leaving most lanes idle. */
export function columnWidth(columns: number, lanes: number): number {
  return columnWidths(columns, lanes)[0];
}

/** Columns per lane that are possible, {@linkcode columnWidth} first, then narrower ones. */
export function columnWidths(columns: number, lanes: number): number[] {
  const widths = [4, 2, 1].filter((width) => columns % width === 0 && columns > (width / 2) * lanes);
  return widths.length > 0 ? widths : [1];
}
