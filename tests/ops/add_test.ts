import { assertThrows } from "@std/assert";
import { add } from "../../lib/ops/add.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
import { add as twin } from "../reference/add.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import type { Tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, normal, plus } from "./helpers.ts";

/** One float32 addition per element. */
const TOLERANCE = 1e-7;

const gpuTest = gpuTests();

function caseOf(a: Tensor, b: Tensor, dOutput: Tensor, accumulate = false) {
  return {
    operands: { a: { value: a }, b: { value: b } },
    build: ({ a, b }: Record<string, ReturnType<typeof scratch>>) => add("sum", a, b),
    dOutput,
    accumulate,
  };
}

for (const [name, fixture] of fixturesOf("add")) {
  gpuTest(`${name}: add() and its gradients equal PyTorch's`, async (gpu) => {
    const image = (key: string) => nchwToNhwc(recorded(fixture, key));
    const { output, gradients } = await runOperation(gpu, caseOf(image("a"), image("b"), image("dOutput")));
    assertClose("output", output, image("output"), TOLERANCE);
    assertClose("dA", gradients.a, image("dA"), 0);
    assertClose("dB", gradients.b, image("dB"), 0);
  });
}

for (const shape of [[1], [1, 3, 3, 1], [3, 5, 7, 12], [257], [1, 1024]]) {
  gpuTest(`add() and its gradients equal the f64 twin's on [${shape}]`, async (gpu) => {
    const a = normal(shape, 1), b = normal(shape, 2), dOutput = normal(shape, 3);
    const { output } = await runOperation(gpu, caseOf(a, b, dOutput));
    assertClose("output", output, twin(a, b), TOLERANCE);
    const { gradients } = await runOperation(gpu, caseOf(a, b, dOutput, true));
    const expected = plus(dOutput, earlierGradient(shape));
    assertClose("dA", gradients.a, expected, TOLERANCE);
    assertClose("dB", gradients.b, expected, TOLERANCE);
  });
}

Deno.test("add() rejects unequal shapes", () => {
  assertThrows(
    () => add("sum", scratch("a", [1, 2, 2, 3]), scratch("b", [1, 2, 2, 1])),
    TypeError,
    "found a [1,2,2,3] and b [1,2,2,1], but equal shapes are required",
  );
});
