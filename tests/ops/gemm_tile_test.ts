import { assert, assertEquals } from "@std/assert";
import {
  blocksOf,
  splitTileOf,
  threadsOf,
  type Tile,
  tileOf,
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

Deno.test("tileOf() takes large tiles for large products, and small ones where they would leave processors idle", () => {
  assertEquals(size(tileOf(TILES, 50176, 128, 1)), "128x128");
  assertEquals(size(tileOf(small, 50176, 128, 1)), "128x64");
  assertEquals(size(tileOf(TILES, 200704, 64, 1)), "128x64");
  assertEquals(size(tileOf(TILES, 3136, 512, 1)), "64x64");
  assertEquals(size(tileOf(TILES, 34000, 32, 1)), "128x32");
  assertEquals(size(tileOf(TILES, 65536, 16, 1)), "128x16");
  assertEquals(size(tileOf(TILES, 17000, 32, 1)), "32x32");
});

Deno.test("tileOf() counts the products that run side by side", () => {
  assert(blocksOf(tileOf(TILES, 3136, 512, 1), 3136, 512) > blocksOf(tileOf(TILES, 3136, 512, 4), 3136, 512));
});

Deno.test("splitTileOf() wastes little of a tile", () => {
  assertEquals(size(splitTileOf(TILES, 1152, 128)), "128x128");
  assertEquals(size(splitTileOf(TILES, 147, 64)), "64x64");
  assertEquals(size(splitTileOf(TILES, 144, 16)), "128x16");
  assertEquals(size(splitTileOf(TILES, 9, 5)), "32x32");
});
