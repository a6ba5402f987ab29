import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  blocksOf,
  splitTiles,
  threadsOf,
  type Tile,
  tilePlans,
  TILES,
  workgroupBytesOf,
} from "../../lib/ops/gemm_tile.ts";

/** Workgroup memory that every WebGPU device has, in bytes, and what the largest tile may take. */
const LEAST_MEMORY = 16384, MOST_MEMORY = 32768;
const small = TILES.filter((tile) => workgroupBytesOf(tile) <= LEAST_MEMORY);

const size = ({ bm, bn }: Tile) => `${bm}x${bn}`;

Deno.test("TILES fit WebGPU's limits and cut into whole pieces", () => {
  for (const tile of TILES) {
    const { bm, bn, bk, tm, tn } = tile;
    assertEquals([bm % tm, bn % tn, tm % 4, tn % 4, bk % 4], [0, 0, 0, 0, 0], size(tile));
    assert(threadsOf(tile) % 32 === 0 && threadsOf(tile) <= 256, size(tile));
    assert(workgroupBytesOf(tile) <= MOST_MEMORY, size(tile));
  }
  assertEquals(small, TILES.slice(1));
});

/** The plan that is done first: with a reduction of nine taps of 128 channels unless stated. */
function planOf(tiles: readonly Tile[], rows: number, columns: number, products = 1, terms = 1152): string {
  const [{ tile, splits }] = tilePlans(tiles, { rows, columns, terms, products });
  return splits === 1 ? size(tile) : `${size(tile)} in ${splits}`;
}

Deno.test("tilePlans() takes large tiles for large products, and small ones where they would leave processors idle", () => {
  assertEquals(planOf(TILES, 50176, 128), "128x128");
  assertEquals(planOf(small, 50176, 128), "128x64");
  assertEquals(planOf(TILES, 200704, 64), "128x64");
  assertEquals(planOf(TILES, 3136, 512), "64x64");
  assertEquals(planOf(TILES, 34000, 32), "128x32");
  assertEquals(planOf(TILES, 65536, 16), "128x16");
  assertEquals(planOf(TILES, 17000, 32), "32x32");
});

Deno.test("tilePlans() counts the products that run side by side", () => {
  const blocks = (products: number) => {
    const [{ tile }] = tilePlans(TILES, { rows: 3136, columns: 512, terms: 1152, products });
    return blocksOf(tile, 3136, 512);
  };
  assert(blocks(1) > blocks(4));
});

Deno.test("tilePlans() splits long reductions where whole ones would leave processors idle, and no others", () => {
  assertMatch(planOf(TILES, 64, 1000, 1, 2048), / in \d+$/);
  assertMatch(planOf(TILES, 196, 512, 1, 4608), / in \d+$/);
  // Short reductions, large products and a device that the products beside fill.
  for (const [rows, columns, products, terms] of [[64, 1000, 1, 64], [50176, 128, 1, 4608], [196, 512, 32, 4608]]) {
    assertEquals(planOf(TILES, rows, columns, products, terms).includes(" in "), false);
  }
  for (const { tile, splits } of tilePlans(TILES, { rows: 196, columns: 512, terms: 4608, products: 1 })) {
    assert(splits === 1 || (4608 / splits >= 128 && blocksOf(tile, 196, 512) < 264));
  }
});

Deno.test("splitTiles() wastes little of a tile", () => {
  const first = (rows: number, columns: number) => size(splitTiles(TILES, rows, columns)[0]);
  assertEquals(first(1152, 128), "128x128");
  assertEquals(first(147, 64), "64x64");
  assertEquals(first(144, 16), "128x16");
  assertEquals(first(9, 5), "32x32");
});
