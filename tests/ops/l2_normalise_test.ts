import { assert, assertEquals, assertThrows } from "@std/assert";
import { l2Normalise } from "../../lib/ops/l2_normalise.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { l2Normalise as twin } from "../reference/l2_normalise.ts";
import { tensor } from "../reference/tensor.ts";
import { normal } from "./helpers.ts";
import { assertEqualsTwin, testRecords } from "./twin_case.ts";

/** A square root and sums of some hundred squares; the gradient is a difference that loses a digit. */
const TOLERANCES = { output: 1e-6, gradient: 3e-6 };

const gpuTest = gpuTests();

testRecords(gpuTest, "l2_normalise", ({ input }) => l2Normalise("y", input), TOLERANCES);

for (const shape of [[5, 2], [2, 3, 7], [7, 196], [3, 1000], [33000, 4]]) {
  gpuTest(`l2Normalise() and its gradient equal the f64 twin's on [${shape}]`, async (gpu) => {
    await assertEqualsTwin(gpu, {
      operands: { input: normal(shape, 1) },
      twin,
      config: {},
      build: ({ input }) => l2Normalise("y", input),
      tolerances: TOLERANCES,
    });
  });
}

gpuTest("l2Normalise() of single numbers is their sign, whose gradient is 0", async (gpu) => {
  const { output, gradients } = await runOperation(gpu, {
    operands: { input: { value: tensor([3, 1], [2.5, -0.125, 7]) } },
    build: ({ input }) => l2Normalise("y", input),
    dOutput: tensor([3, 1], [1, 2, 3]),
  });
  assertEquals([...output.data].map((x) => Math.round(x * 1e6) / 1e6), [1, -1, 1]);
  // A difference of equal numbers, over |x|.
  assert(gradients.input.data.every((x) => Math.abs(x) <= 3e-6));
});

gpuTest("l2Normalise() of zeros is zero, and its gradient is finite", async (gpu) => {
  const { output, gradients } = await runOperation(gpu, {
    operands: { input: { value: tensor([1, 4]) } },
    build: ({ input }) => l2Normalise("y", input),
    dOutput: tensor([1, 4], [1e-12, 0, -1e-12, 0]),
  });
  assertEquals([...output.data], [0, 0, 0, 0]);
  assertEquals([...gradients.input.data].map(Math.round), [1, 0, -1, 0]);
});

Deno.test("l2Normalise() rejects a scalar", () => {
  assertThrows(() => l2Normalise("y", scratch("input", [])), TypeError, "an axis is required");
});
