import { assert, assertEquals } from "@std/assert";
import { orderOf } from "../../lib/ops/gemm.ts";

/** What a kernel makes of a workgroup's place: `kernels/workgroup_order.wgsl`. */
function placeOf({ constants }: ReturnType<typeof orderOf>, x: number, y: number, z: number): [number, number] {
  const { COLUMN_BLOCKS, COLUMNS_FIRST, GRID_X } = constants, place = y * GRID_X + x;
  return COLUMNS_FIRST === 1
    ? [Math.floor(place / COLUMN_BLOCKS), z * COLUMN_BLOCKS + place % COLUMN_BLOCKS]
    : [place, z];
}

Deno.test("orderOf() gives every block of rows and columns one workgroup, also beyond the first dimension", () => {
  for (const weights of [1000, 10_000_000]) {
    for (const [blocks, columnBlocks, others] of [[1, 1, 1], [7, 3, 1], [5, 2, 8], [40_000, 2, 3], [20_000, 5, 2]]) {
      const order = orderOf({ blocks, columnBlocks, others, weights }), [x, y, z] = order.groups;
      assert(Math.max(x, y, z) <= 65_535);
      const seen = new Uint8Array(blocks * columnBlocks * others);
      for (let k = 0; k < z; k++) {
        for (let j = 0; j < y; j++) {
          for (let i = 0; i < x; i++) {
            const [block, column] = placeOf(order, i, j, k);
            if (block < blocks) seen[column * blocks + block]++;
          }
        }
      }
      assertEquals(seen.findIndex((times) => times !== 1), -1, `${blocks}, ${columnBlocks}, ${others}, ${weights}`);
    }
  }
});

Deno.test("orderOf() keeps neighbours on the same rows while the weights stay in a core's cache", () => {
  const shares = { blocks: 10, columnBlocks: 4, others: 1 };
  const second = (weights: number) => placeOf(orderOf({ ...shares, weights }), 1, 0, 0);
  assertEquals(second(2 ** 19), [0, 1]);
  assertEquals(second(2 ** 19 + 1), [1, 0]);
});
