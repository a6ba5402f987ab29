import { assert } from "@std/assert";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { type Target, targetOf } from "../../lib/ops/operation.ts";
import type { Product, Variant } from "../../lib/ops/product.ts";
import { earlierGradient, gpuTests, type OperationCase, runOperation } from "../gpu/harness.ts";
import { conv2d as twin, conv2dBackward as twinBackward } from "../reference/conv2d.ts";
import type { Tensor } from "../reference/tensor.ts";
import { assertClose, normal, plus } from "./helpers.ts";

/**
 * Winograd's sums lose more than direct ones, which 2e-6 bounds: values at the points 2 and -2 are up to 8 times what
 * they are made of. The largest error of `tests/bench/results/winograd.md`, over sums of 4,608 terms, is 2.0e-6.
 */
const TOLERANCE = 4e-6;

const gpuTest = gpuTests();

/** Runs an operation with Winograd's kernels wherever there are some, the given one of several. */
async function runWinograd(test: OperationCase, gpu: Parameters<typeof runOperation>[0], index: number) {
  const tuning: Record<string, string> = {};
  const choose = ({ shapeClass, variants }: Product) => {
    const found = variants.filter(({ name }: Variant) => name.startsWith("winograd"));
    assert(found.length > 0, `${shapeClass} has no kernel of Winograd's`);
    tuning[shapeClass] = found[Math.min(index, found.length - 1)].name;
  };
  const target: Partial<Target> = { ...targetOf(gpu, { training: true }), schedule: "cpu" };
  // Lowering asks for the tuning after it has told of the product.
  return { found: await runOperation(gpu, { ...test, target: { ...target, tuning, onProduct: choose } }), tuning };
}

/** Input [N, H, W, CIN], COUT, kernel rows and padding. */
const SHAPES: Record<string, readonly [number, number, number, number, number, number, number]> = {
  "no padding, narrower than a tile": [2, 5, 5, 4, 8, 3, 0],
  "a single column": [2, 4, 1, 8, 4, 3, 1],
  "full padding": [2, 4, 6, 4, 12, 3, 2],
  "a row of taps": [2, 3, 9, 16, 8, 1, 0],
  "five rows of taps, full padding": [2, 7, 8, 4, 4, 5, 2],
  "odd channels both ways": [3, 6, 7, 7, 5, 3, 1],
  "one channel to one": [3, 5, 10, 1, 1, 3, 1],
  "more columns than a workgroup": [1, 4, 7, 12, 80, 3, 1],
  "several splits, rows not of whole tiles": [5, 18, 22, 3, 16, 3, 1],
  "several splits, whole tiles": [4, 16, 16, 16, 4, 3, 1],
};

for (const [name, [n, h, w, cin, cout, rows, padding]] of Object.entries(SHAPES)) {
  gpuTest(`conv2d() by Winograd's kernels equals the f64 twin: ${name}`, async (gpu) => {
    const options = { stride: 1, padding, dilation: 1, groups: 1 };
    const input = normal([n, h, w, cin], 1), weight = normal([cout, cin, rows, 3], 2), bias = normal([cout], 3);
    const output = twin(input, weight, bias, options), dOutput = normal(output.shape, 4);
    const expected = twinBackward(dOutput, input, weight, options);
    for (let index = 0; index < 3; index++) {
      const accumulate = index % 2 === 0;
      const { found, tuning } = await runWinograd(
        {
          operands: {
            input: { value: input },
            weight: { value: weight, layout: "convolution" },
            bias: { value: bias },
          },
          build: ({ input, weight, bias }) => conv2d("conv", input, weight, { ...options, bias }),
          dOutput,
          accumulate,
        },
        gpu,
        index,
      );
      const before = (t: Tensor) => accumulate ? plus(t, earlierGradient(t.shape)) : t;
      const what = JSON.stringify(tuning);
      assertClose(`output, ${what}`, found.output, output, TOLERANCE);
      assertClose(`dInput, ${what}`, found.gradients.input, before(expected.dInput), TOLERANCE);
      assertClose(`dWeight, ${what}`, found.gradients.weight, before(expected.dWeight), TOLERANCE);
    }
  });
}

gpuTest("Winograd's kernels give the same bits twice", async (gpu) => {
  const input = normal([4, 16, 16, 16], 1), weight = normal([16, 16, 3, 3], 2), dOutput = normal(input.shape, 4);
  const run = () =>
    runWinograd(
      {
        operands: { input: { value: input }, weight: { value: weight, layout: "convolution" } },
        build: ({ input, weight }) => conv2d("conv", input, weight, { padding: 1 }),
        dOutput,
      },
      gpu,
      0,
    );
  const { found: first } = await run(), { found: second } = await run();
  assertClose("output", second.output, first.output, 0);
  assertClose("dInput", second.gradients.input, first.gradients.input, 0);
  assertClose("dWeight", second.gradients.weight, first.gradients.weight, 0);
});

gpuTest("Winograd's kernels stay within their error where sums are long and values have a mean", async (gpu) => {
  const options = { stride: 1, padding: 1, dilation: 1, groups: 1 };
  // As activations behind a rectifier: without signs, values at the points cancel in the sums of taps.
  const positive = normal([2, 7, 7, 512], 1), weight = normal([8, 512, 3, 3], 2);
  positive.data.forEach((x, i) => positive.data[i] = Math.max(x, 0));
  const output = twin(positive, weight, null, options), dOutput = normal(output.shape, 4);
  const { dWeight } = twinBackward(dOutput, positive, weight, options);
  const { found } = await runWinograd(
    {
      operands: { input: { value: positive }, weight: { value: weight, layout: "convolution" } },
      build: ({ input, weight }) => conv2d("conv", input, weight, { padding: 1 }),
      dOutput,
    },
    gpu,
    0,
  );
  assertClose("output", found.output, output, TOLERANCE);
  assertClose("dWeight", found.gradients.weight, dWeight, TOLERANCE);
});
