import { assertEquals, assertThrows } from "@std/assert";
import { scratch } from "../../lib/ops/operation.ts";
import { softmax } from "../../lib/ops/softmax.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { softmax as twin } from "../reference/softmax.ts";
import { tensor } from "../reference/tensor.ts";
import { mapped, normal } from "./helpers.ts";
import { assertEqualsTwin, testRecords } from "./twin_case.ts";

/**
 * exp within a few ulp of its argument, which lies some units below 0. The gradient is a difference that cancels where one
 * number dominates its row, by about 1 - y: a digit in these cases.
 */
const TOLERANCES = { output: 1e-6, gradient: 1e-5 };

const gpuTest = gpuTests();

testRecords(gpuTest, "softmax", ({ input }) => softmax("y", input), TOLERANCES);

for (const shape of [[1], [5, 1], [3, 2, 7], [2, 3, 49, 49], [1, 4], [7, 196], [3, 1000], [33000, 3]]) {
  gpuTest(`softmax() and its gradient equal the f64 twin's on [${shape}]`, async (gpu) => {
    await assertEqualsTwin(gpu, {
      operands: { input: mapped(normal(shape, 1), (x) => 2 * x) },
      twin,
      config: {},
      build: ({ input }) => softmax("y", input),
      tolerances: TOLERANCES,
    });
  });
}

gpuTest("softmax() of numbers far apart is finite, -Infinity counts as 0, and NaN stays NaN", async (gpu) => {
  const { output } = await runOperation(gpu, {
    operands: { input: { value: tensor([3, 3], [3e38, -3e38, 0, -Infinity, 5, -Infinity, NaN, 1, 2]) } },
    build: ({ input }) => softmax("y", input),
  });
  assertEquals([...output.data], [1, 0, 0, 0, 1, 0, NaN, NaN, NaN]);
});

Deno.test("softmax() rejects a scalar", () => {
  assertThrows(() => softmax("y", scratch("input", [])), TypeError, "an axis is required");
});
