import { assertEquals, assertThrows } from "@std/assert";
import { TILES } from "../../lib/ops/gemm_tile.ts";
import { matmul, type MatmulOptions } from "../../lib/ops/matmul.ts";
import { scratch, type Target } from "../../lib/ops/operation.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { matmul as twin } from "../reference/matmul.ts";
import { assertClose, normal } from "./helpers.ts";
import { assertEqualsTwin, testRecords } from "./twin_case.ts";

/** float32 sums of some hundred products: 6e-8 for each rounding, which adds up as the root of their number. */
const TOLERANCES = { output: 2e-6, gradient: 2e-6 };

const gpuTest = gpuTests();

testRecords(gpuTest, "matmul", ({ a, b }, config) => matmul("y", a, b, config), TOLERANCES);

/** Leading axes, M, K and N: sizes of 1, odd ones, whole vectors, attention, and more rows than a workgroup's. */
const SIZES: [number[], number, number, number][] = [
  [[], 1, 1, 1],
  [[3], 1, 7, 5],
  [[2], 5, 1, 3],
  [[2, 3], 17, 8, 17],
  [[2, 2], 16, 32, 16],
  [[3], 50, 12, 50],
  [[2], 9, 50, 24],
  [[5, 1], 20, 36, 64],
  [[1], 1030, 3, 6],
  [[1], 4, 300, 1],
];
const WAYS_TO_STORE: MatmulOptions[] = [{}, { transposeA: true }, { transposeB: true }];

function shapesOf(leading: number[], m: number, k: number, n: number, { transposeA, transposeB }: MatmulOptions) {
  return { a: [...leading, ...transposeA ? [k, m] : [m, k]], b: [...leading, ...transposeB ? [n, k] : [k, n]] };
}

for (const [leading, m, k, n] of SIZES) {
  for (const config of WAYS_TO_STORE) {
    const { a, b } = shapesOf(leading, m, k, n, config);
    gpuTest(
      `matmul() and its gradients equal the f64 twin's: [${a}] and [${b}], ${Object.keys(config)}`,
      async (gpu) => {
        await assertEqualsTwin(gpu, {
          operands: { a: normal(a, 1), b: normal(b, 2) },
          twin,
          config,
          build: ({ a, b }) => matmul("y", a, b, config),
          tolerances: TOLERANCES,
        });
      },
    );
  }
}

for (const tile of TILES) {
  gpuTest(`matmul() in tiles of ${tile.bm} x ${tile.bn} equals the f64 twin`, async (gpu) => {
    for (const [m, k, n] of [[136, 20, 140], [131, 33, 67]]) {
      for (const config of WAYS_TO_STORE) {
        const shapes = shapesOf([2], m, k, n, config);
        const operands = { a: normal(shapes.a, 1), b: normal(shapes.b, 2) };
        const target: Partial<Target> = { schedule: "gpu", tiles: [tile] };
        const found = await runOperation(gpu, {
          operands: { a: { value: operands.a }, b: { value: operands.b } },
          build: ({ a, b }) => matmul("y", a, b, config),
          target,
        });
        assertClose("output", found.output, twin.forward(operands, config), TOLERANCES.output);
      }
    }
  });
}

Deno.test("matmul() counts its operations", () => {
  const operation = matmul("y", scratch("a", [2, 3, 4, 5]), scratch("b", [2, 3, 5, 7]));
  const target: Target = { schedule: "gpu", tiles: TILES, subgroupSize: 0, training: true };
  const slot = (input: { shape: readonly number[] }) => ({ tensor: scratch("d", input.shape), accumulate: false });
  const launches = [...operation.forward(target), ...operation.backward(target, scratch("d", [2, 3, 4, 7]), slot)];
  assertEquals(launches.map(({ flops }) => flops), Array(3).fill(2 * 6 * 4 * 5 * 7));
});

Deno.test("matmul() rejects operands that do not fit", () => {
  const reject = (a: number[], b: number[], options?: MatmulOptions) =>
    assertThrows(() => matmul("y", scratch("a", a), scratch("b", b), options), TypeError, "are required");
  reject([2, 3], [4, 5]);
  reject([2, 3, 4], [4, 5]);
  reject([2, 3, 4], [3, 4, 5]);
  reject([3], [3]);
  reject([2, 3], [3, 4], { transposeB: true });
  reject([3, 2], [4, 3], { transposeA: true, transposeB: true });
});
