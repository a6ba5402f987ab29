/**
 * Workgroup tiles of the matrix-product kernels on a discrete GPU, and the choice among them.
 *
 * @module
 */

/** How one workgroup computes a block of a matrix product. */
export interface Tile {
  /** Rows of the block, a multiple of `tm`. */
  readonly bm: number;
  /** Columns of the block, a multiple of `tn`. */
  readonly bn: number;
  /** Terms of the reduction that the workgroup's memory holds at a time, a multiple of 4. */
  readonly bk: number;
  /** Rows of an invocation, a multiple of 4. */
  readonly tm: number;
  /** Columns of an invocation, a multiple of 4. */
  readonly tn: number;
  /**
   * Share of its arithmetic peak that a processor reaches with enough of these workgroups, estimated: an invocation
   * issues `tm * tn` multiply-adds for `(tm + tn) / 4` loads from the workgroup's memory.
   */
  readonly efficiency: number;
}

/** Largest first. All but the first fit the 16 KiB of workgroup memory that every WebGPU device has. */
export const TILES: readonly Tile[] = [
  { bm: 128, bn: 128, bk: 16, tm: 8, tn: 8, efficiency: 1 },
  { bm: 128, bn: 64, bk: 16, tm: 8, tn: 8, efficiency: 0.95 },
  { bm: 64, bn: 64, bk: 16, tm: 8, tn: 4, efficiency: 0.8 },
  { bm: 128, bn: 32, bk: 16, tm: 8, tn: 4, efficiency: 0.75 },
  { bm: 128, bn: 16, bk: 16, tm: 4, tn: 4, efficiency: 0.5 },
  { bm: 32, bn: 32, bk: 16, tm: 4, tn: 4, efficiency: 0.5 },
];

/** Processors of the GPU that launches should fill; a constant, so that sums do not depend on the device. */
export const PROCESSORS = 132;
/** Invocations of a processor that hide its latencies. */
const BUSY_INVOCATIONS = 256;
/** Invocations of a processor that its registers hold at once, at 128 registers each. */
const RESIDENT_INVOCATIONS = 512;

/** Invocations of a workgroup. */
export function threadsOf({ bm, bn, tm, tn }: Tile): number {
  return (bm / tm) * (bn / tn);
}

/** Workgroup memory that a tile takes, in bytes; the padding of the transposed operand included. */
export function workgroupBytesOf({ bm, bn, bk }: Tile): number {
  return 16 * bk * (bm / 4 + 1 + bn / 4);
}

/** Blocks that cover `rows` x `columns`. */
export function blocksOf({ bm, bn }: Tile, rows: number, columns: number): number {
  return Math.ceil(rows / bm) * Math.ceil(columns / bn);
}

/**
 * The tile that should be done first with `products` products of rows x columns and the same reduction: few tiles
 * leave processors idle, small ones load more than they compute, and the edges of large ones are wasted.
 */
export function tileOf(tiles: readonly Tile[], rows: number, columns: number, products: number): Tile {
  const timeOf = (tile: Tile) => {
    const blocks = Math.ceil(blocksOf(tile, rows, columns) * products / PROCESSORS);
    const invocations = Math.min(blocks * threadsOf(tile), RESIDENT_INVOCATIONS);
    return blocks * tile.bm * tile.bn / (tile.efficiency * Math.min(1, invocations / BUSY_INVOCATIONS));
  };
  return quickest(tiles, timeOf);
}

/** The tile that wastes least where the reduction will be split into as many parts as fill the processors. */
export function splitTileOf(tiles: readonly Tile[], rows: number, columns: number): Tile {
  return quickest(tiles, (tile) => blocksOf(tile, rows, columns) * tile.bm * tile.bn / tile.efficiency);
}

/** The first of the tiles that take the least time. */
function quickest(tiles: readonly Tile[], timeOf: (tile: Tile) => number): Tile {
  return tiles.reduce((best, tile) => timeOf(tile) < timeOf(best) ? tile : best);
}

/** Constants of the kernels that follow from the tile; loads are vectors of an invocation for one tile. */
export function tileConstants(
  tile: Tile,
): Readonly<Record<"THREADS" | "BM" | "BN" | "BK" | "TM" | "TN" | "RIGHT_LOADS", number>> {
  const { bm, bn, bk, tm, tn } = tile;
  const threads = threadsOf(tile);
  return {
    THREADS: threads,
    BM: bm,
    BN: bn,
    BK: bk,
    TM: tm,
    TN: tn,
    RIGHT_LOADS: Math.ceil(bk * bn / 4 / threads),
  };
}
