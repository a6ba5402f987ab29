import { assert, assertEquals } from "@std/assert";
import { orderOf, type Shares } from "../../lib/ops/gemm.ts";

/** What a kernel makes of a workgroup's place: `kernels/workgroup_order.wgsl`. */
function placeOf({ constants }: ReturnType<typeof orderOf>, x: number, y: number, z: number): [number, number] {
  const { INNER, OUTER, GRID_X } = constants, place = y * GRID_X + x;
  return [Math.floor(place / INNER), z + place % INNER * OUTER];
}

Deno.test("orderOf() gives every block of rows and columns one workgroup, also beyond the first dimension", () => {
  for (const weights of [1000, 10_000_000]) {
    for (const [blocks, columnBlocks, classes] of [[1, 1, 1], [7, 3, 1], [5, 16, 4], [40_000, 2, 3], [20_000, 5, 2]]) {
      const order = orderOf({ blocks, columnBlocks, classes, weights }), [x, y, z] = order.groups;
      assert(Math.max(x, y, z) <= 65_535);
      const seen = new Uint8Array(blocks * columnBlocks * classes);
      for (let k = 0; k < z; k++) {
        for (let j = 0; j < y; j++) {
          for (let i = 0; i < x; i++) {
            const [block, column] = placeOf(order, i, j, k);
            if (block < blocks) seen[column * blocks + block]++;
          }
        }
      }
      assertEquals(seen.findIndex((times) => times !== 1), -1, `${blocks}, ${columnBlocks}, ${classes}, ${weights}`);
    }
  }
});

Deno.test("orderOf() keeps neighbours on the same rows while the weights stay in a core's cache", () => {
  const second = (shares: Partial<Shares>) =>
    placeOf(orderOf({ blocks: 10, columnBlocks: 4, weights: 2 ** 19, ...shares }), 1, 0, 0);
  assertEquals(second({}), [0, 1]);
  assertEquals(second({ weights: 2 ** 19 + 1 }), [1, 0]);
  // Neighbours of different classes, whatever the weights: their columns begin behind those of the first class.
  assertEquals(second({ weights: 2 ** 19 + 1, classes: 4 }), [0, 4]);
});
