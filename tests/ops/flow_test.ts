import { assertEquals, assertThrows } from "@std/assert";
import { objective, stopGradient } from "../../lib/ops/flow.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { tensor } from "../reference/tensor.ts";
import { normal } from "./helpers.ts";

const gpuTest = gpuTests();

gpuTest("stopGradient() copies its input and gives no gradient", async (gpu) => {
  const input = normal([3, 7], 1);
  const { output, gradients } = await runOperation(gpu, {
    operands: { input: { value: input } },
    build: ({ input }) => stopGradient("fixed", input),
    dOutput: normal([3, 7], 2),
  });
  assertEquals(output, input);
  assertEquals(gradients, {});
});

gpuTest("objective() copies one number, whose gradient is 1 whatever follows", async (gpu) => {
  const { output, gradients } = await runOperation(gpu, {
    operands: { input: { value: tensor([1], [0.75]) } },
    build: ({ input }) => objective("loss", input),
    dOutput: tensor([1], [5]),
  });
  assertEquals([output.data[0], gradients.input.data[0]], [0.75, 1]);
});

Deno.test("objective() rejects more than one number", () => {
  assertThrows(() => objective("loss", scratch("losses", [2])), TypeError, "one number is required");
});
