/**
 * batchNorm() with the sum and the rectifier behind it, against the composition of the twins.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { add } from "../../lib/ops/add.ts";
import { batchNorm } from "../../lib/ops/batch_norm.ts";
import { type Operation, scratch, type Tensor as DeviceTensor } from "../../lib/ops/operation.ts";
import { relu } from "../../lib/ops/relu.ts";
import { earlierGradient, gpuTests, type OperationCase, runOperation } from "../gpu/harness.ts";
import * as twin from "../reference/batch_norm.ts";
import { relu as reluTwin, reluBackward } from "../reference/relu.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { assertClose, mapped, normal, plus } from "./helpers.ts";

/** float32 sums of some thousands of terms, added by chunks; 1 / sqrt() is good to 2 units in the last place. */
const TOLERANCE = 2e-6;

const gpuTest = gpuTests();

interface Operands {
  readonly input: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly runningMean: Tensor;
  readonly runningVariance: Tensor;
  readonly residual: Tensor;
}

interface Form {
  readonly residual: boolean;
  readonly relu: boolean;
  readonly training: boolean;
}

const FORMS: Form[] = [true, false].flatMap((training) => [
  { residual: false, relu: true, training },
  { residual: true, relu: false, training },
  { residual: true, relu: true, training },
]);

const describe = ({ residual, relu, training }: Form) =>
  `batchNorm()${residual ? " + residual" : ""}${relu ? " and relu" : ""}, training ${training},`;

function operandsOf(shape: readonly number[]): Operands {
  const channels = [shape[3]];
  return {
    input: mapped(normal(shape, 1), (x, i) => 1.5 * x + (i % shape[3]) / 8),
    weight: normal(channels, 2),
    bias: normal(channels, 3),
    runningMean: normal(channels, 4),
    runningVariance: mapped(normal(channels, 5), (x) => x * x + 0.5),
    residual: normal(shape, 7),
  };
}

function caseOf(operands: Operands, form: Form, dOutput: Tensor, more: Partial<OperationCase> = {}): OperationCase {
  const { residual, ...own } = operands;
  const named = Object.entries(form.residual ? { ...own, residual } : own);
  return {
    operands: Object.fromEntries(named.map(([name, value]) => [name, { value }])),
    build: ({ input, weight, bias, runningMean, runningVariance, residual }) =>
      batchNorm("norm", input, { weight, bias, runningMean, runningVariance }, { residual, relu: form.relu }),
    dOutput,
    training: form.training,
    ...more,
  };
}

/** Output of the twins. */
function forwardTwin(operands: Operands, form: Form): Tensor {
  const running = { mean: operands.runningMean, variance: operands.runningVariance };
  const normalised = form.training
    ? twin.batchNormTrain(operands.input, operands, running).output
    : twin.batchNormEvaluate(operands.input, operands, running);
  const sum = form.residual ? plus(normalised, operands.residual) : normalised;
  return form.relu ? reluTwin(sum) : sum;
}

/** Gradients of the twins, by operand. */
function backwardTwin(operands: Operands, form: Form, dOutput: Tensor): Record<string, Tensor> {
  const running = { mean: operands.runningMean, variance: operands.runningVariance };
  const { mean, variance } = twin.batchNormTrain(operands.input, operands, running);
  const residual = form.relu ? reluBackward(dOutput, forwardTwin(operands, form)) : dOutput;
  const { dInput, dWeight, dBias } = form.training
    ? twin.batchNormTrainBackward(residual, operands.input, operands, mean, variance)
    : twin.batchNormEvaluateBackward(residual, operands.input, operands, running);
  return { input: dInput, weight: dWeight, bias: dBias, ...form.residual ? { residual } : {} };
}

// Odd channels; more channels than a run of eight items; one row more than 256 chunks of 64.
const SHAPES = [[2, 2, 1, 1], [1, 5, 13, 3], [3, 7, 5, 24], [2, 4, 3, 36], [1, 129, 127, 4], [5, 1, 13, 17]];

for (const shape of SHAPES) {
  for (const form of FORMS) {
    gpuTest(`${describe(form)} equals the twins on [${shape}]`, async (gpu) => {
      const operands = operandsOf(shape), dOutput = normal(shape, 6);
      const expected = backwardTwin(operands, form, dOutput);
      for (const accumulate of [false, true]) {
        const before = (t: Tensor) => accumulate ? plus(t, earlierGradient(t.shape)) : t;
        const { output, gradients } = await runOperation(gpu, caseOf(operands, form, dOutput, { accumulate }));
        assertClose("output", output, forwardTwin(operands, form), TOLERANCE);
        for (const [name, value] of Object.entries(expected)) {
          assertClose(`gradient of ${name}`, gradients[name], before(value), TOLERANCE);
        }
      }
    });
  }
}

for (const form of FORMS) {
  gpuTest(`${describe(form)} has the gradients that central differences of the twins give`, async (gpu) => {
    const shape = [2, 3, 3, 5], operands = operandsOf(shape), dOutput = normal(shape, 6);
    // Truncation is of order 1e-10 at this step, as is rounding; no rectifier's input comes as near to its kink.
    const step = 1e-5;
    const sum = forwardTwin(operands, { ...form, relu: false });
    assert(sum.data.every((value) => Math.abs(value) > 100 * step));
    const { gradients } = await runOperation(gpu, caseOf(operands, form, dOutput));
    for (const [name, found] of Object.entries(gradients)) {
      if (name.startsWith("running")) continue;
      const operand = operands[name as keyof Operands].data;
      const differences = operand.map((value, i) => {
        const at = (moved: number) => {
          operand[i] = moved;
          return forwardTwin(operands, form).data.reduce((total, y, j) => total + y * dOutput.data[j], 0);
        };
        const difference = (at(value + step) - at(value - step)) / (2 * step);
        operand[i] = value;
        return difference;
      });
      assertClose(`gradient of ${name}`, found, tensor(found.shape, differences), TOLERANCE);
    }
  });
}

for (const wanted of [["input"], ["residual"], ["weight", "bias"], ["bias", "residual"], ["input", "residual"]]) {
  for (const form of FORMS.filter(({ residual }) => residual)) {
    gpuTest(`${describe(form)} gives the gradients of ${wanted.join(" and ")} alone`, async (gpu) => {
      const shape = [2, 6, 5, 12], operands = operandsOf(shape), dOutput = normal(shape, 6);
      const expected = backwardTwin(operands, form, dOutput);
      const { gradients } = await runOperation(gpu, caseOf(operands, form, dOutput, { wanted }));
      assertEquals(Object.keys(gradients).sort(), wanted.toSorted());
      for (const name of wanted) {
        assertClose(`gradient of ${name}`, gradients[name], expected[name], TOLERANCE);
      }
    });
  }
}

for (const form of FORMS.filter(({ residual }) => residual)) {
  gpuTest(`${describe(form)} of its own input adds both of its gradients`, async (gpu) => {
    const shape = [2, 3, 5, 6], own = operandsOf(shape), operands = { ...own, residual: own.input };
    const dOutput = normal(shape, 6), expected = backwardTwin(operands, form, dOutput);
    const test = caseOf(operands, { ...form, residual: false }, dOutput);
    const { output, gradients } = await runOperation(gpu, {
      ...test,
      build: ({ input, ...tensors }) =>
        batchNorm("norm", input, tensors as unknown as Parameters<typeof batchNorm>[2], {
          residual: input,
          relu: form.relu,
        }),
    });
    assertClose("output", output, forwardTwin(operands, form), TOLERANCE);
    assertClose("gradient", gradients.input, plus(expected.input, expected.residual), TOLERANCE);
  });
}

gpuTest("batchNorm() with relu lets a NaN of its input or of its residual through", async (gpu) => {
  const shape = [1, 3, 3, 4], form = { residual: true, relu: true, training: true };
  for (const name of ["input", "residual"] as const) {
    const operands = operandsOf(shape);
    operands[name].data[17] = NaN;
    const { output } = await runOperation(gpu, caseOf(operands, form, normal(shape, 6)));
    assertClose("output", output, forwardTwin(operands, form), TOLERANCE);
  }
});

Deno.test("batchNorm() rejects a residual of another shape", () => {
  const [weight, bias, runningMean, runningVariance] = [1, 2, 3, 4].map(() => scratch("vector", [3]));
  const tensors = { weight, bias, runningMean, runningVariance };
  assertThrows(
    () => batchNorm("norm", scratch("input", [1, 2, 2, 3]), tensors, { residual: scratch("other", [1, 2, 1, 3]) }),
    TypeError,
    "found residual [1,2,1,3] of input [1,2,2,3], but equal shapes are required",
  );
});

Deno.test("batchNorm().fuse() takes a sum, then a rectifier, and nothing else", () => {
  const shape = [1, 2, 2, 3], input = scratch("input", shape), other = scratch("other", shape);
  const [weight, bias, runningMean, runningVariance] = [1, 2, 3, 4].map(() => scratch("vector", [3]));
  const tensors = { weight, bias, runningMean, runningVariance };
  const norm = batchNorm("norm", input, tensors);
  const writes = (operation: Operation | undefined, output: DeviceTensor) => assertEquals(operation?.output, output);
  const sum = add("sum", other, norm.output), rectified = relu("relu", norm.output), behind = relu("relu", sum.output);
  writes(norm.fuse?.(sum), sum.output);
  writes(norm.fuse?.(rectified), rectified.output);
  writes(norm.fuse?.(sum)?.fuse?.(behind), behind.output);
  const parameters = Object.values(tensors);
  assertEquals(norm.fuse?.(sum)?.fuse?.(behind)?.inputs, [input, ...parameters, other]);
  assertEquals(norm.fuse?.(sum)?.fuse?.(add("again", sum.output, other)), undefined);
  assertEquals(norm.fuse?.(rectified)?.fuse?.(add("after", rectified.output, other)), undefined);
  assertEquals(norm.fuse?.(add("twice", norm.output, norm.output)), undefined);
  assertEquals(norm.fuse?.(batchNorm("norm", norm.output, tensors)), undefined);
});
