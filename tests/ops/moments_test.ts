/**
 * Moments that conv2d() leaves of its output for batchNorm(), in every way to compute it: running statistics, which hold
 * the batch's mean and variance, and what is normalised, against the f64 twins.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { batchNorm } from "../../lib/ops/batch_norm.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { TILES } from "../../lib/ops/gemm_tile.ts";
import { type Operation, scratch, type Target, type Tensor as OnDevice } from "../../lib/ops/operation.ts";
import { relu } from "../../lib/ops/relu.ts";
import { gpuTests, type OperationResult, runOperation } from "../gpu/harness.ts";
import { BATCH_NORM_MOMENTUM } from "../reference/batch_norm.ts";
import { tensor } from "../reference/tensor.ts";
import { assertClose, mapped, WAYS } from "./helpers.ts";
import { expectedOf, type Operands, operandsOf, pairOf, type Shape, waysOf } from "./moments_case.ts";

/** As in `conv2d_test.ts`; the mean of some thousand sums is no worse than the sums. */
const TOLERANCE = 2e-6;
/** Numbers near 1000 are known to 6e-8 of themselves; that error differs from row to row, and averages out but for the last. */
const FAR_TOLERANCE = 2e-7;

const gpuTest = gpuTests();

/** Asserts the running statistics: the mean to a share of the root mean square, as it may be near zero itself. */
function assertStatistics(
  what: string,
  { operands }: OperationResult,
  { running: { mean, variance }, ...batch }: ReturnType<typeof expectedOf>,
  meanTolerance = TOLERANCE,
): void {
  const { data } = operands.runningMean;
  // As if the root mean square were there on both sides in place of the mean: the error stays, the norm is its.
  const size = tensor(
    mean.shape,
    mean.data.map((x, i) => Math.hypot(x, BATCH_NORM_MOMENTUM * Math.sqrt(batch.variance.data[i]))),
  );
  const found = tensor(mean.shape, data.map((x, i) => x - mean.data[i] + size.data[i]));
  assertClose(`running mean, ${what}`, found, size, meanTolerance);
  assertClose(`running variance, ${what}`, operands.runningVariance, variance, TOLERANCE);
}

const SHAPES: Record<string, Shape> = {
  "16 channels to 16": [2, 8, 8, 16, 16, 3, { padding: 1 }],
  "5 channels to 6, rows of 9": [2, 7, 9, 5, 6, 3, { padding: 1 }],
  "6 channels to 70, stride 2": [3, 9, 9, 6, 70, 3, { padding: 1, stride: 2 }],
  "6 channels to 72, rows of 7": [2, 6, 7, 6, 72, 3, { padding: 1 }],
  "1x1, 12 channels to 33": [3, 5, 7, 12, 33, 1],
  "stem 7x7 stride 2": [1, 21, 18, 3, 64, 7, { padding: 3, stride: 2 }],
  "2 groups of 16 to 24": [1, 7, 6, 32, 48, 3, { padding: 1, groups: 2 }],
  "long reduction": [1, 6, 5, 192, 68, 3, { padding: 1, stride: 2 }],
  "more blocks than one invocation combines": [2, 97, 95, 3, 8, 3, { padding: 1 }],
};

/** Building every variant where operands go through workgroup memory takes long. */
const SHARED = ["5 channels to 6, rows of 9", "6 channels to 70, stride 2"];

Object.entries(SHAPES).forEach(([name, shape], index) => {
  for (const [way, target] of Object.entries(WAYS)) {
    if (target.subgroupSize === 0 && !SHARED.includes(name)) continue;
    gpuTest(
      `conv2d() by ${way}, in its default way and in others, leaves what batchNorm() needs: ${name}`,
      async (gpu) => {
        const options = shape[6] ?? {}, operands = operandsOf(shape, index % 2 === 1);
        const expected = expectedOf(operands, options);
        const { shapeClass, names } = waysOf(operands, options, target);
        let left = 0;
        // Of the others each shape tries a third, by turns.
        for (const variant of names.filter((_, at) => at === 0 || (at + index) % 3 === 0)) {
          const pair = pairOf(operands, options, { ...target, tuning: { [shapeClass]: variant } });
          const found = await runOperation(gpu, pair);
          assertStatistics(variant, found, expected);
          assertClose(`output, ${variant}`, found.output, expected.output, TOLERANCE);
          if (!pair.launched.includes("norm statistics")) left++;
          assertEquals(/ in \d+$/.test(variant), pair.launched.includes("norm statistics"), variant);
        }
        // All ways to compute few outputs by long sums split the sums.
        assertEquals(left > 0, way !== "tiles" || name !== "long reduction");
      },
    );
  }
});

for (const tile of TILES) {
  const shapes: Record<string, Shape> = {
    "16 channels to 136": [2, 9, 9, 16, 136, 3, { padding: 1 }],
    "5 channels to 131, stride 2": [2, 17, 17, 5, 131, 3, { padding: 1, stride: 2 }],
  };
  for (const [name, shape] of Object.entries(shapes)) {
    gpuTest(`conv2d() in tiles of ${tile.bm} x ${tile.bn} leaves what batchNorm() needs: ${name}`, async (gpu) => {
      const operands = operandsOf(shape, true), target: Partial<Target> = { schedule: "gpu", tiles: [tile] };
      const { shapeClass, names } = waysOf(operands, shape[6]!, target);
      const whole = names.find((variant) => !variant.includes(" in "))!;
      const pair = pairOf(operands, shape[6]!, { ...target, tuning: { [shapeClass]: whole } });
      const found = await runOperation(gpu, pair), expected = expectedOf(operands, shape[6]!);
      assertStatistics(whole, found, expected);
      assertClose("output", found.output, expected.output, TOLERANCE);
      assert(!pair.launched.includes("norm statistics"));
    });
  }
}

/** Two ways to a mean of 1,000 with a deviation of about 1: by the bias, and by a channel that is 1 everywhere. */
function farFromZero(by: "bias" | "channel"): Operands {
  const operands = operandsOf([4, 15, 13, 8, 20, 1], true);
  const thousands = tensor([20], new Float64Array(20).fill(1000));
  if (by === "bias") return { ...operands, offset: thousands };
  return {
    ...operands,
    input: mapped(operands.input, (x, i) => i % 8 === 0 ? 1 : x),
    kernel: mapped(operands.kernel, (x, i) => i % 8 === 0 ? 1000 : x),
  };
}

for (const [way, target] of Object.entries(WAYS)) {
  for (const by of ["bias", "channel"] as const) {
    gpuTest(`conv2d() by ${way} leaves the variance of a mean far from zero: by a ${by}`, async (gpu) => {
      const operands = farFromZero(by), expected = expectedOf(operands, {});
      const pair = pairOf(operands, {}, target), found = await runOperation(gpu, pair);
      assert(!pair.launched.includes("norm statistics"));
      assertStatistics(by, found, expected, FAR_TOLERANCE);
      assertClose("output", found.output, expected.output, 1e-4);
    });

    gpuTest(`conv2d() by ${way} leaves moments of what it has not rounded to f16 yet: by a ${by}`, async (gpu) => {
      const operands = farFromZero(by), expected = expectedOf(operands, {});
      const found = await runOperation(gpu, pairOf(operands, {}, target, true));
      assertStatistics(by, found, expected, FAR_TOLERANCE);
    });
  }

  gpuTest(`conv2d() by ${way}: f16 in between changes no moments, and the output by its rounding`, async (gpu) => {
    const shape: Shape = [2, 9, 7, 8, 24, 3, { padding: 1 }];
    const operands = operandsOf(shape, true), expected = expectedOf(operands, shape[6]!);
    const plain = await runOperation(gpu, pairOf(operands, shape[6]!, target));
    const mixed = await runOperation(gpu, pairOf(operands, shape[6]!, target, true));
    assertClose("mean of f32", mixed.operands.runningMean, plain.operands.runningMean, 0);
    assertClose("variance of f32", mixed.operands.runningVariance, plain.operands.runningVariance, 0);
    assertStatistics("mixed", mixed, expected);
    // Rounding to 11 bits: at most 2^-12 of a number, and some of it in the mean.
    assertClose("output", mixed.output, expected.output, 2 ** -11);
    assert(mixed.output.data.some((value, i) => value !== plain.output.data[i]));
  });

  gpuTest(`conv2d() by ${way} leaves the same bits twice, and a NaN of its input`, async (gpu) => {
    const shape = SHAPES["more blocks than one invocation combines"], options = shape[6]!;
    const operands = operandsOf(shape, false);
    const first = await runOperation(gpu, pairOf(operands, options, target));
    const second = await runOperation(gpu, pairOf(operands, options, target));
    assertClose("output", second.output, first.output, 0);
    assertClose("running mean", second.operands.runningMean, first.operands.runningMean, 0);
    assertClose("running variance", second.operands.runningVariance, first.operands.runningVariance, 0);
    const input = mapped(operands.input, (x, i) => i === 1234 ? NaN : x);
    const broken = await runOperation(gpu, pairOf({ ...operands, input }, options, target));
    for (const statistic of [broken.operands.runningMean, broken.operands.runningVariance]) {
      assert(statistic.data.every(Number.isNaN));
    }
  });
}

Deno.test("conv2d() leaves moments in training alone, once, and of whole sums", () => {
  const input = scratch("input", [2, 9, 9, 32]);
  const source = (groups: number) =>
    conv2d("conv", input, scratch("weight", [3, 3, 32 / groups, 64]), { padding: 1, groups }).leaveMoments!();
  const target: Target = { schedule: "cpu", subgroupSize: 8, tiles: TILES, training: true };
  const labels = (operation: Operation, target: Target) =>
    operation.forward(target).flatMap(({ bindings }) => bindings)
      .map(({ name }) => name);
  const plain = source(1), moments = plain.moments(target)!;
  assertEquals(plain.leaveMoments!(), plain);
  assertEquals(plain.moments(target), moments);
  assert(labels(plain, target).includes(moments.partial.name));
  for (const other of [{ ...target, training: false }, { ...target, again: true }]) {
    assertEquals(plain.moments(other), undefined);
    assert(!labels(plain, other).includes(moments.partial.name));
  }
  // Kernels of finely grouped convolutions on GPUs have few rows to an invocation, and leave none.
  assertEquals(source(32).moments({ ...target, schedule: "gpu" }), undefined);
  assert(source(32).moments(target) !== undefined);
});

Deno.test("batchNorm() takes the moments of its input, and of nothing else", () => {
  const shape = [1, 4, 4, 3], weight = scratch("kernel", [1, 1, 3, 3]);
  const [scale, bias, runningMean, runningVariance] = [1, 2, 3, 4].map(() => scratch("vector", [3]));
  const source = conv2d("conv", scratch("input", shape), weight).leaveMoments!();
  const norm = (input: OnDevice, residual?: OnDevice) =>
    batchNorm("norm", input, { weight: scale, bias, runningMean, runningVariance }, { residual });
  const taking = norm(source.output).takeMoments!(source)!;
  assertEquals(taking.output.name, "norm");
  assertEquals(norm(scratch("other", shape), source.output).takeMoments!(source), undefined);
  // What is joined later takes them as well.
  const target: Target = { schedule: "cpu", subgroupSize: 8, tiles: [], training: true };
  const labels = taking.fuse!(relu("relu", taking.output))!.forward(target).map(({ label }) => label);
  assertEquals(labels, ["norm finalize", "norm apply"]);
  const evaluation = taking.forward({ ...target, training: false }).map(({ label }) => label);
  assertEquals(evaluation, ["norm apply"]);
});
