import { assertThrows } from "@std/assert";
import { linear } from "../../lib/ops/linear.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, runOperation } from "../gpu/harness.ts";
import { linear as twin, linearBackward as twinBackward } from "../reference/linear.ts";
import type { Tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, normal, plus, WAYS } from "./helpers.ts";

/** float32 sums of up to 2,048 products: 6e-8 for each rounding, which adds up as the root of the number of terms. */
const TOLERANCE = 2e-6;

const gpuTest = gpuTests();

function caseOf(input: Tensor, weight: Tensor, bias: Tensor | undefined, dOutput: Tensor) {
  return {
    operands: {
      input: { value: input },
      weight: { value: weight, layout: "linear" as const },
      ...(bias && { bias: { value: bias } }),
    },
    build: ({ input, weight, bias }: Record<string, ReturnType<typeof scratch>>) => linear("fc", input, weight, bias),
    dOutput,
  };
}

for (const [name, fixture] of fixturesOf("linear")) {
  gpuTest(`${name}: linear() and its gradients equal PyTorch's`, async (gpu) => {
    const take = (key: string) => recorded(fixture, key);
    const bias = fixture.tensors.has("bias") ? take("bias") : undefined;
    for (const target of Object.values(WAYS)) {
      const test = { ...caseOf(take("input"), take("weight"), bias, take("dOutput")), target };
      const { output, gradients } = await runOperation(gpu, test);
      assertClose("output", output, take("output"), TOLERANCE);
      assertClose("dInput", gradients.input, take("dInput"), TOLERANCE);
      assertClose("dWeight", gradients.weight, take("dWeight"), TOLERANCE);
      if (bias) assertClose("dBias", gradients.bias, take("dBias"), TOLERANCE);
    }
  });
}

const SHAPES = [[1, 64, 10], [3, 17, 1], [5, 1, 12], [7, 512, 10], [2, 2048, 17], [1030, 3, 5], [300, 24, 64]];

SHAPES.forEach(([batch, width, out], index) => {
  gpuTest(`linear() and its gradients equal the f64 twin's: [${batch}, ${width}] to ${out}`, async (gpu) => {
    const input = normal([batch, width], 1), weight = normal([out, width], 2), bias = normal([out], 3);
    const dOutput = normal([batch, out], 4);
    const expected = twinBackward(dOutput, input, weight);
    const accumulate = index % 2 === 0;
    const before = (t: Tensor) => accumulate ? plus(t, earlierGradient(t.shape)) : t;
    for (const target of [WAYS.subgroups, WAYS.tiles]) {
      const test = { ...caseOf(input, weight, bias, dOutput), accumulate, target };
      const { output, gradients } = await runOperation(gpu, test);
      assertClose("output", output, twin(input, weight, bias), TOLERANCE);
      assertClose("dInput", gradients.input, before(expected.dInput), TOLERANCE);
      assertClose("dWeight", gradients.weight, before(expected.dWeight), TOLERANCE);
      assertClose("dBias", gradients.bias, before(expected.dBias), TOLERANCE);
    }
  });
});

Deno.test("linear() rejects operands that do not fit", () => {
  const reject = (input: number[], weight: number[], bias?: number[]) =>
    assertThrows(
      () => linear("fc", scratch("input", input), scratch("weight", weight), bias && scratch("bias", bias)),
      TypeError,
      "required",
    );
  reject([2, 3], [4, 5]);
  reject([2, 3, 1], [3, 5]);
  reject([], [3, 5]);
  reject([2, 3], [3, 5, 1]);
  reject([2, 3], [3, 5], [4]);
});
