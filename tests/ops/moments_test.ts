/**
 * Moments that conv2d() leaves of its output for batchNorm(), in every way to compute it: running statistics, which hold
 * the batch's mean and variance, and what is normalised, against the f64 twins.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Graph } from "../../lib/graph/graph.ts";
import { packActivations } from "../../lib/graph/precision.ts";
import { batchNorm } from "../../lib/ops/batch_norm.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { TILES } from "../../lib/ops/gemm_tile.ts";
import {
  type Dispatch,
  type Operation,
  scratch,
  type Target,
  type Tensor as OnDevice,
} from "../../lib/ops/operation.ts";
import { relu } from "../../lib/ops/relu.ts";
import { gpuTests, type OperationCase, type OperationResult, runOperation } from "../gpu/harness.ts";
import { batchNormTrain } from "../reference/batch_norm.ts";
import { conv2d as convTwin, type Conv2dOptions } from "../reference/conv2d.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { assertClose, mapped, normal, WAYS } from "./helpers.ts";

/** As in `conv2d_test.ts`; the mean of some thousand sums is no worse than the sums. */
const TOLERANCE = 2e-6;
/** Numbers near 1000 are known to 3e-5 of a deviation; that error differs from row to row, and so averages out. */
const FAR_TOLERANCE = 2e-6;

const gpuTest = gpuTests();

/** Input [N, H, W, CIN], COUT, kernel, and options. */
type Shape = readonly [number, number, number, number, number, number, Partial<Conv2dOptions>?];

interface Operands {
  readonly input: Tensor;
  readonly kernel: Tensor;
  readonly offset?: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
}

function operandsOf([n, h, w, cin, cout, kernel, options]: Shape, biased: boolean): Operands {
  return {
    input: normal([n, h, w, cin], 1),
    kernel: normal([cout, cin / (options?.groups ?? 1), kernel, kernel], 2),
    offset: biased ? normal([cout], 3) : undefined,
    weight: normal([cout], 4),
    bias: normal([cout], 5),
  };
}

/** A convolution and the normalisation behind it as one operation, and what was launched for it. */
interface Pair extends OperationCase {
  /** Labels of the launches. */
  readonly launched: string[];
  /** Names of the ways to compute the convolution, and the class of shapes that they are for. */
  readonly ways: { readonly shapeClass: string; readonly names: readonly string[] };
}

function pairOf(
  { input, kernel, offset, weight, bias }: Operands,
  options: Partial<Conv2dOptions>,
  target: Partial<Target>,
  mixed = false,
): Pair {
  const zero = tensor(weight.shape), launched: string[] = [];
  const convolution = (input: OnDevice, kernel: OnDevice, offset?: OnDevice) =>
    conv2d("conv", input, kernel, { ...options, bias: offset });
  let ways: Pair["ways"] | undefined;
  const [cout, cin, kh, kw] = kernel.shape;
  convolution(
    scratch("input", input.shape),
    scratch("kernel", [kh, kw, cin, cout]),
    offset && scratch("offset", [cout]),
  )
    .forward({
      schedule: "cpu",
      subgroupSize: 8,
      tiles: TILES,
      training: true,
      ...target,
      onProduct: ({ shapeClass, variants }) => ways = { shapeClass, names: variants.map(({ name }) => name) },
    });
  return {
    launched,
    ways: ways!,
    target,
    operands: {
      input: { value: input },
      kernel: { value: kernel, layout: "convolution" },
      ...(offset && { offset: { value: offset } }),
      weight: { value: weight },
      bias: { value: bias },
      runningMean: { value: zero },
      runningVariance: { value: zero },
    },
    build({ input, kernel, offset, ...tensors }) {
      const source = convolution(input, kernel, offset).leaveMoments!();
      const { weight, bias, runningMean, runningVariance } = tensors;
      const norm = batchNorm("norm", source.output, { weight, bias, runningMean, runningVariance })
        .takeMoments!(source)!;
      return { ...norm, forward: (target) => record([source, norm], target), backward: () => [] };
    },
  };

  function record(operations: readonly Operation[], target: Target): readonly Dispatch[] {
    const launches = operations.flatMap((operation) => operation.forward(target));
    launched.push(...launches.map(({ label }) => label));
    return mixed ? packActivations(new Graph(operations), launches, [operations[1].output]) : launches;
  }
}

/** The twins' output, and the running statistics after a batch. */
function expectedOf({ input, kernel, offset, weight, bias }: Operands, options: Partial<Conv2dOptions>) {
  const whole = { stride: 1, padding: 0, dilation: 1, groups: 1, ...options };
  const zero = tensor(weight.shape);
  return batchNormTrain(convTwin(input, kernel, offset ?? null, whole), { weight, bias }, {
    mean: zero,
    variance: zero,
  });
}

function assertStatistics(
  what: string,
  { operands }: OperationResult,
  { running }: ReturnType<typeof expectedOf>,
  tolerance = TOLERANCE,
): void {
  assertClose(`running mean, ${what}`, operands.runningMean, running.mean, tolerance);
  assertClose(`running variance, ${what}`, operands.runningVariance, running.variance, tolerance);
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

for (const [name, shape] of Object.entries(SHAPES)) {
  for (const [way, target] of Object.entries(WAYS)) {
    if (target.subgroupSize === 0 && !SHARED.includes(name)) continue;
    gpuTest(`conv2d() by ${way}, in every variant, leaves what batchNorm() needs: ${name}`, async (gpu) => {
      const options = shape[6] ?? {}, operands = operandsOf(shape, name.length % 2 === 0);
      const expected = expectedOf(operands, options);
      const { shapeClass, names } = pairOf(operands, options, target).ways;
      let left = 0;
      for (const variant of names) {
        const pair = pairOf(operands, options, { ...target, tuning: { [shapeClass]: variant } });
        const found = await runOperation(gpu, pair);
        assertStatistics(variant, found, expected);
        assertClose(`output, ${variant}`, found.output, expected.output, TOLERANCE);
        if (!pair.launched.includes("norm statistics")) left++;
        assertEquals(/ in \d+$/.test(variant), pair.launched.includes("norm statistics"), variant);
      }
      // All ways to compute few outputs by long sums split the sums.
      assertEquals(left > 0, way !== "tiles" || name !== "long reduction");
    });
  }
}

for (const tile of TILES) {
  const shapes: Record<string, Shape> = {
    "16 channels to 136": [2, 9, 9, 16, 136, 3, { padding: 1 }],
    "5 channels to 131, stride 2": [2, 17, 17, 5, 131, 3, { padding: 1, stride: 2 }],
  };
  for (const [name, shape] of Object.entries(shapes)) {
    gpuTest(`conv2d() in tiles of ${tile.bm} x ${tile.bn} leaves what batchNorm() needs: ${name}`, async (gpu) => {
      const operands = operandsOf(shape, true), target: Partial<Target> = { schedule: "gpu", tiles: [tile] };
      const { shapeClass, names } = pairOf(operands, shape[6]!, target).ways;
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
    assertStatistics("mixed against f32", mixed, { ...expected, running: statisticsOf(plain) }, 0);
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

function statisticsOf({ operands }: OperationResult) {
  return { mean: operands.runningMean, variance: operands.runningVariance };
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
