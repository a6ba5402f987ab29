import { assertEquals } from "@std/assert";
import { relu } from "../../lib/ops/relu.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import { relu as twin, reluBackward as twinBackward } from "../reference/relu.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, mapped, normal, plus } from "./helpers.ts";

/** Nothing is rounded: values are copied or replaced by zero. */
const EXACT = 0;

const gpuTest = gpuTests();

function caseOf(input: Tensor, dOutput: Tensor, accumulate = false) {
  return {
    operands: { input: { value: input } },
    build: ({ input }: Record<string, Parameters<typeof relu>[1]>) => relu("relu", input),
    dOutput,
    accumulate,
  };
}

for (const [name, fixture] of fixturesOf("relu")) {
  gpuTest(`${name}: relu() and its gradient equal PyTorch's`, async (gpu) => {
    const image = (key: string) => nchwToNhwc(recorded(fixture, key));
    const { output, gradients } = await runOperation(gpu, caseOf(image("input"), image("dOutput")));
    assertClose("output", output, image("output"), EXACT);
    assertClose("dInput", gradients.input, image("dInput"), EXACT);
  });
}

for (const shape of [[1, 1, 1, 1], [3], [2, 4], [1, 255], [257], [5, 7, 3, 12], [1, 17, 1, 61]]) {
  gpuTest(`relu() and its gradient equal the f64 twin's on [${shape}]`, async (gpu) => {
    const input = mapped(normal(shape, 1), (x, i) => i % 7 === 3 ? 0 : x), dOutput = normal(shape, 2);
    const dInput = twinBackward(dOutput, twin(input));
    const plain = await runOperation(gpu, caseOf(input, dOutput));
    assertClose("output", plain.output, twin(input), EXACT);
    assertClose("dInput", plain.gradients.input, dInput, EXACT);
    const added = await runOperation(gpu, caseOf(input, dOutput, true));
    // One float32 addition.
    assertClose("added dInput", added.gradients.input, plus(dInput, earlierGradient(shape)), 1e-7);
  });
}

gpuTest("relu() lets NaN and infinities through, forwards and backwards", async (gpu) => {
  for (const lead of [1, 4]) {
    const values = [NaN, Infinity, -Infinity, 1, -1, 0, -0, NaN].flatMap((x) => Array(lead).fill(x)).slice(
      lead === 1 ? 1 : 0,
    );
    const input = tensor([values.length], values), dOutput = normal([values.length], 2);
    const { output, gradients } = await runOperation(gpu, caseOf(input, dOutput));
    assertEquals(output.data, twin(input).data.map((x) => x + 0));
    assertEquals(gradients.input.data, twinBackward(dOutput, twin(input)).data);
  }
});
