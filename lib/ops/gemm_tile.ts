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

/** A product of rows x columns over a reduction, several of them side by side. */
export interface ProductSize {
  readonly rows: number;
  readonly columns: number;
  /** Length of the reduction. */
  readonly terms: number;
  /** Products of the same size in one launch. */
  readonly products: number;
}

/** How to cut a product up. */
export interface TilePlan {
  readonly tile: Tile;
  /** Parts of the reduction, computed side by side and added in order. */
  readonly splits: number;
}

const SPLITS = [1, 2, 3, 4, 6, 8, 12, 16];
/** Fewest terms worth a split of their own. */
const LEAST_SPLIT_TERMS = 128;
/** Workgroups above which a split would only add work. */
const SPLIT_BELOW = 2 * PROCESSORS;
/**
 * Of an H100 by its datasheet, in the time of one multiply-add of one processor (2.5e11 a second): a byte of partial
 * sums written or read by all processors together, and the launch that adds them up (5 microseconds).
 */
const BYTE_COST = 10 / PROCESSORS, LAUNCH_COST = 1.25e6;
/** A split must promise to save this share of the time: what the estimate may be wrong by. */
const SPLIT_GAIN = 0.25;

/**
 * Time that a plan should take, in multiply-adds of one processor: few tiles leave processors idle, small ones load
 * more than they compute, and the edges of large ones are wasted; splits pay for partial sums.
 */
function timeOf({ tile, splits }: TilePlan, { rows, columns, terms, products }: ProductSize): number {
  const blocks = Math.ceil(blocksOf(tile, rows, columns) * products * splits / PROCESSORS);
  const invocations = Math.min(blocks * threadsOf(tile), RESIDENT_INVOCATIONS);
  const perTerm = blocks * tile.bm * tile.bn / (tile.efficiency * Math.min(1, invocations / BUSY_INVOCATIONS));
  const partials = splits === 1 ? 0 : 8 * splits * rows * columns * products * BYTE_COST + LAUNCH_COST;
  return perTerm * (Math.ceil(terms / splits) + tile.bk) + partials;
}

/**
 * Plans of a product, the one that should be done first at the front. It splits the reduction only where the tiles
 * would leave processors idle and much is to be gained; the other plans are for a search to try.
 */
export function tilePlans(tiles: readonly Tile[], size: ProductSize): TilePlan[] {
  const plans = tiles.flatMap((tile) => {
    const blocks = blocksOf(tile, size.rows, size.columns) * size.products;
    const few = (splits: number) => blocks < SPLIT_BELOW && size.terms >= splits * LEAST_SPLIT_TERMS;
    return SPLITS.filter((splits) => splits === 1 || few(splits)).map((splits) => ({ tile, splits }));
  });
  const times = new Map(plans.map((plan) => [plan, timeOf(plan, size)]));
  const ranked = plans.toSorted((a, b) => times.get(a)! - times.get(b)!);
  const whole = ranked.find(({ splits }) => splits === 1)!;
  const first = times.get(ranked[0])! < (1 - SPLIT_GAIN) * times.get(whole)! ? ranked[0] : whole;
  return [first, ...ranked.filter((plan) => plan !== first)];
}

/** Tiles by what they waste where the reduction will be split into as many parts as fill the processors. */
export function splitTiles(tiles: readonly Tile[], rows: number, columns: number): Tile[] {
  const timeOf = (tile: Tile) => blocksOf(tile, rows, columns) * tile.bm * tile.bn / tile.efficiency;
  return tiles.toSorted((a, b) => timeOf(a) - timeOf(b));
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
