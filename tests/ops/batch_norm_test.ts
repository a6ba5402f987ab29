import { assertThrows } from "@std/assert";
import { batchNorm } from "../../lib/ops/batch_norm.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { recorded } from "../fixtures/fixture.ts";
import { earlierGradient, gpuTests, type OperationCase, runOperation } from "../gpu/harness.ts";
import * as twin from "../reference/batch_norm.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, mapped, normal, plus } from "./helpers.ts";

/** float32 sums of some thousands of terms, added by chunks; 1 / sqrt() is good to 2 units in the last place. */
const TOLERANCE = 2e-6;
/**
 * A mean of 100 leaves the input itself a resolution of 4e-6 of the deviations, and a constant channel (1 / sigma = 316)
 * magnifies them.
 */
const LOOSER = new Map([["batch_norm_train_far_mean", 1e-5], ["batch_norm_train_constant_channel", 1e-5]]);

const gpuTest = gpuTests();

/** Operands of a normalisation, by the names of their slots. */
interface Operands {
  readonly input: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly runningMean: Tensor;
  readonly runningVariance: Tensor;
}

function caseOf(operands: Operands, training: boolean, dOutput: Tensor, more: Partial<OperationCase> = {}) {
  return {
    operands: Object.fromEntries(Object.entries(operands).map(([name, value]) => [name, { value }])),
    build: ({ input, weight, bias, runningMean, runningVariance }: Record<string, ReturnType<typeof scratch>>) =>
      batchNorm("norm", input, { weight, bias, runningMean, runningVariance }),
    dOutput,
    training,
    ...more,
  };
}

/**
 * Asserts that the input's gradient in training is right to `tolerance` of its terms. They cancel: with two values per
 * channel, x̂ = ±1 and all but a share of eps / variance is gone, in float32 as in PyTorch.
 */
function assertInputGradient(
  found: Tensor,
  expected: Tensor,
  operands: Operands,
  dOutput: Tensor,
  tolerance: number,
): void {
  const { mean, variance } = twin.batchNormTrain(operands.input, operands, {
    mean: operands.runningMean,
    variance: operands.runningVariance,
  });
  const terms = twin.batchNormEvaluateBackward(dOutput, operands.input, operands, { mean, variance }).dInput;
  // As if the terms were still there on both sides: the error stays, the norm is theirs.
  assertClose(
    "dInput",
    tensor(terms.shape, found.data.map((x, i) => x - expected.data[i] + terms.data[i])),
    terms,
    tolerance,
  );
}

for (const [name, fixture] of fixturesOf("batch_norm")) {
  gpuTest(`${name}: batchNorm(), its statistics and gradients equal PyTorch's`, async (gpu) => {
    const take = (key: string) => recorded(fixture, key), image = (key: string) => nchwToNhwc(take(key));
    const [weight, bias] = [take("weight"), take("bias")];
    const operands = {
      input: image("input"),
      weight,
      bias,
      runningMean: take("runningMean"),
      runningVariance: take("runningVariance"),
    };
    const found = await runOperation(gpu, caseOf(operands, fixture.config.training, image("dOutput")));
    const tolerance = LOOSER.get(name) ?? TOLERANCE;
    assertClose("output", found.output, image("output"), tolerance);
    assertClose("running mean", found.operands.runningMean, take("nextRunningMean"), TOLERANCE);
    assertClose("running variance", found.operands.runningVariance, take("nextRunningVariance"), TOLERANCE);
    assertClose("dWeight", found.gradients.weight, take("dWeight"), tolerance);
    assertClose("dBias", found.gradients.bias, take("dBias"), tolerance);
    if (fixture.config.training) {
      assertInputGradient(found.gradients.input, image("dInput"), operands, image("dOutput"), tolerance);
    } else {
      assertClose("dInput", found.gradients.input, image("dInput"), tolerance);
    }
  });
}

function operandsOf(shape: readonly number[]): Operands {
  const channels = [shape[3]];
  return {
    input: mapped(normal(shape, 1), (x, i) => 1.5 * x + (i % shape[3]) / 8),
    weight: normal(channels, 2),
    bias: normal(channels, 3),
    runningMean: normal(channels, 4),
    runningVariance: mapped(normal(channels, 5), (x) => x * x + 0.5),
  };
}

// One row more than 64 or than 256 chunks of 64 begins another chunk.
const SHAPES = [[2, 1, 1, 1], [1, 5, 13, 3], [3, 7, 5, 24], [1, 64, 64, 5], [5, 1, 13, 17], [1, 129, 127, 4]];

for (const shape of SHAPES) {
  for (const training of [true, false]) {
    gpuTest(`batchNorm() equals the f64 twin on [${shape}], training ${training}`, async (gpu) => {
      const operands = operandsOf(shape), dOutput = normal(shape, 6);
      const { input, runningMean, runningVariance } = operands;
      const running = { mean: runningMean, variance: runningVariance };
      const forward = twin.batchNormTrain(input, operands, running);
      const { dInput, dWeight, dBias } = training
        ? twin.batchNormTrainBackward(dOutput, input, operands, forward.mean, forward.variance)
        : twin.batchNormEvaluateBackward(dOutput, input, operands, running);
      const output = training ? forward.output : twin.batchNormEvaluate(input, operands, running);
      const next = training ? forward.running : running;
      for (const accumulate of [false, true]) {
        const before = (t: Tensor) => accumulate ? plus(t, earlierGradient(t.shape)) : t;
        const found = await runOperation(gpu, caseOf(operands, training, dOutput, { accumulate }));
        assertClose("output", found.output, output, TOLERANCE);
        assertClose("running mean", found.operands.runningMean, next.mean, training ? TOLERANCE : 0);
        assertClose("running variance", found.operands.runningVariance, next.variance, training ? TOLERANCE : 0);
        assertClose("dWeight", found.gradients.weight, before(dWeight), TOLERANCE);
        assertClose("dBias", found.gradients.bias, before(dBias), TOLERANCE);
        if (training) assertInputGradient(found.gradients.input, before(dInput), operands, dOutput, TOLERANCE);
        else assertClose("dInput", found.gradients.input, before(dInput), TOLERANCE);
      }
    });
  }
}

gpuTest("batchNorm() of a mean far from zero keeps its variance", async (gpu) => {
  // E[x^2] - E[x]^2 in float32 would leave nothing of a variance of 1 beside a square of 10^8.
  const operands = operandsOf([4, 9, 9, 4]);
  const input = mapped(operands.input, (x) => x + 1e4);
  const running = { mean: operands.runningMean, variance: operands.runningVariance };
  const expected = twin.batchNormTrain(input, operands, running);
  const found = await runOperation(gpu, caseOf({ ...operands, input }, true, normal([4, 9, 9, 4], 6)));
  // The input resolves 10^4 to 5e-4, and so the mean; the deviations are exact.
  assertClose("output", found.output, expected.output, 1e-3);
  assertClose("running variance", found.operands.runningVariance, expected.running.variance, 1e-5);
});

for (const wanted of [["input"], ["weight", "bias"], ["input", "bias"], ["weight"]]) {
  gpuTest(`batchNorm() in training gives the gradients of ${wanted.join(" and ")} alone`, async (gpu) => {
    const shape = [2, 6, 5, 12], operands = operandsOf(shape), dOutput = normal(shape, 6);
    const running = { mean: operands.runningMean, variance: operands.runningVariance };
    const { mean, variance } = twin.batchNormTrain(operands.input, operands, running);
    const expected = twin.batchNormTrainBackward(dOutput, operands.input, operands, mean, variance);
    const { gradients } = await runOperation(gpu, caseOf(operands, true, dOutput, { wanted }));
    if (wanted.includes("input")) assertClose("dInput", gradients.input, expected.dInput, TOLERANCE);
    if (wanted.includes("weight")) assertClose("dWeight", gradients.weight, expected.dWeight, TOLERANCE);
    if (wanted.includes("bias")) assertClose("dBias", gradients.bias, expected.dBias, TOLERANCE);
  });
}

gpuTest("batchNorm() shows a NaN of its input in the output and in the running statistics", async (gpu) => {
  const operands = operandsOf([1, 3, 3, 4]);
  const input = mapped(operands.input, (x, i) => i === 17 ? NaN : x);
  const running = { mean: operands.runningMean, variance: operands.runningVariance };
  const expected = twin.batchNormTrain(input, operands, running);
  const found = await runOperation(gpu, caseOf({ ...operands, input }, true, normal([1, 3, 3, 4], 6)));
  assertClose("output", found.output, expected.output, TOLERANCE);
  assertClose("running mean", found.operands.runningMean, expected.running.mean, TOLERANCE);
  assertClose("running variance", found.operands.runningVariance, expected.running.variance, TOLERANCE);
});

Deno.test("batchNorm() rejects what it cannot normalise", () => {
  const vector = (n: number) => scratch("vector", [n]);
  const build = (shape: number[], sizes: number[]) => {
    const [weight, bias, runningMean, runningVariance] = sizes.map(vector);
    return batchNorm("norm", scratch("input", shape), { weight, bias, runningMean, runningVariance });
  };
  assertThrows(() => build([2, 3], [3, 3, 3, 3]), TypeError, "[N, H, W, C]");
  for (let wrong = 0; wrong < 4; wrong++) {
    const sizes = [3, 3, 3, 3].map((size, i) => i === wrong ? 4 : size);
    assertThrows(() => build([1, 2, 2, 3], sizes), TypeError, "[3] is required");
  }
  const single = build([1, 1, 1, 3], [3, 3, 3, 3]);
  const target = { schedule: "cpu", subgroupSize: 8, tiles: [] } as const;
  assertThrows(() => single.forward({ ...target, training: true }), TypeError, "at least two values per channel");
  single.forward({ ...target, training: false });
});
