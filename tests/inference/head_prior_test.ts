/** Training under a learned prior of the head, along axes and without, against dense solutions in float64. */

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { estimateMemory } from "../../lib/inference/training_step.ts";
import { type TrainingOptions, TrainingSession } from "../../lib/inference/training.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights, type Weights } from "../../lib/models/weights.ts";
import { type HeadGaussian, joined } from "../../lib/priors/head_gaussian.ts";
import { gpuTests } from "../gpu/harness.ts";
import { cholesky, choleskyLogDeterminant, choleskySolve } from "../reference/cholesky.ts";
import { hashedUnit } from "../reference/hashed.ts";
import { reflection } from "../reference/reflection.ts";

const gpuTest = gpuTests();
const CONFIG = { encoder: "resnet8_narrow", numClasses: 4, height: 8, width: 8 };
const BATCH = 4, EXAMPLES = 40;
const layouts = layoutModel(CONFIG), start = initialWeights(layouts, 3);
const CLASSES = CONFIG.numClasses, SIZE = layouts.head.count, WIDTH = SIZE / CLASSES;
const values = (stream: number, count = SIZE) => Float32Array.from({ length: count }, (_, i) => hashedUnit(stream, i));

/** Rotations that are not their own inverses. */
const AXES = {
  inputs: product(reflection(WIDTH, 1), reflection(WIDTH, 2), WIDTH),
  outputs: product(reflection(CLASSES, 3), reflection(CLASSES, 4), CLASSES),
};

function product(a: Float32Array, b: Float32Array, size: number): Float32Array {
  return Float32Array.from({ length: size * size }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < size; k++) sum += a[Math.floor(at / size) * size + k] * b[k * size + at % size];
    return sum;
  });
}

/** Variances over two orders of magnitude. */
const PRIOR: HeadGaussian = { mean: values(5), variance: values(6).map((x) => 0.01 * 10 ** x), axes: AXES };

/** The covariance of the rows [w b], [SIZE, SIZE]. */
function denseCovariance({ variance, axes }: HeadGaussian): Float64Array {
  const diagonal = joined(variance, CLASSES), found = new Float64Array(SIZE * SIZE);
  const axis = (of: Float32Array | undefined, size: number, i: number, k: number) =>
    of === undefined ? Number(i === k) : of[i * size + k];
  const factor = Array.from(
    { length: SIZE },
    (_, a) =>
      Float64Array.from(
        { length: SIZE },
        (_, k) =>
          Math.sqrt(diagonal[k]) * axis(axes?.outputs, CLASSES, Math.floor(a / WIDTH), Math.floor(k / WIDTH)) *
          axis(axes?.inputs, WIDTH, a % WIDTH, k % WIDTH),
      ),
  );
  for (let a = 0; a < SIZE; a++) {
    for (let b = 0; b < SIZE; b++) found[a * SIZE + b] = factor[a].reduce((sum, x, k) => sum + x * factor[b][k], 0);
  }
  return found;
}

const batch = {
  images: Uint8Array.from(values(7, BATCH * 192), (x) => 128 + 127 * x),
  labels: Uint32Array.from({ length: BATCH }, (_, i) => i % CLASSES),
};

function optionsOf(more: Partial<TrainingOptions>): TrainingOptions {
  return {
    batchSize: BATCH,
    normalisation: NORMALISATIONS.imagenet,
    settings: { sampler: "sgd", momentum: 0, temperature: 1, numData: EXAMPLES, priorStep: "implicit" },
    seed: 5,
    ...more,
  };
}

async function withSession<T>(
  gpu: Gpu,
  options: Partial<TrainingOptions>,
  fn: (session: TrainingSession, model: DeviceModel) => Promise<T>,
  weights: Weights = start,
): Promise<T> {
  const model = new DeviceModel(gpu, CONFIG);
  model.write(weights);
  try {
    const session = await TrainingSession.create(model, optionsOf(options));
    try {
      return await fn(session, model);
    } finally {
      session.destroy();
    }
  } finally {
    model.destroy();
  }
}

/** The head after one step. */
function stepped(gpu: Gpu, options: Partial<TrainingOptions>, learningRate: number): Promise<Float32Array> {
  return withSession(gpu, options, async (session, model) => {
    session.submit(0, batch, learningRate, true);
    await session.metrics();
    return (await model.read()).head;
  });
}

for (const [what, axes] of [["along axes", AXES], ["of weights as they are", undefined]] as const) {
  const headPrior = { ...PRIOR, axes };

  for (const priorStep of ["implicit", "explicit"] as const) {
    gpuTest(`a step of sgd under a head's prior ${what}, ${priorStep}, is the dense one in float64`, async (gpu) => {
      const rate = 0.05, k = rate / EXAMPLES;
      const settings = { ...optionsOf({}).settings, priorStep };
      const moved = await stepped(gpu, {}, rate), found = await stepped(gpu, { headPrior, settings }, rate);
      const gradient = joined(start.head.map((value, i) => (value - moved[i]) / rate), CLASSES);
      const covariance = denseCovariance(headPrior), mean = joined(PRIOR.mean, CLASSES);
      const delta = joined(start.head, CLASSES).map((value, i) => value - mean[i]);
      // Implicit: (I + k S^-1)^-1 u = u - k (S + k I)^-1 u. Explicit: u - k S^-1 delta.
      const u = delta.map((value, i) => value - rate * gradient[i]);
      const shifted = covariance.map((value, at) =>
        value + (at % (SIZE + 1) === 0 && priorStep === "implicit" ? k : 0)
      );
      const solved = choleskySolve(cholesky(shifted, SIZE), priorStep === "implicit" ? u : delta);
      joined(found, CLASSES).forEach((value, i) => {
        const expected = mean[i] + u[i] - k * solved[i];
        assert(Math.abs(value - expected) < 3e-6, `element ${i} is ${value}, not ${expected}`);
      });
    });
  }

  gpuTest(`log prior of a head ${what} is the dense normal's`, async (gpu) => {
    const { head, log } = await withSession(gpu, { headPrior }, async (session, model) => {
      session.submit(0, batch, 0.05, true);
      await session.metrics();
      return { head: (await model.read()).head, log: await session.logPrior() };
    });
    const lower = cholesky(denseCovariance(headPrior), SIZE), mean = joined(PRIOR.mean, CLASSES);
    const delta = joined(head, CLASSES).map((value, i) => value - mean[i]);
    const quadratic = choleskySolve(lower, delta).reduce((sum, value, i) => sum + value * delta[i], 0);
    const expected = -0.5 * (SIZE * Math.log(2 * Math.PI) + choleskyLogDeterminant(lower, SIZE) + quadratic);
    assert(Math.abs(log - expected) < 1e-5 * Math.abs(expected), `${log}, not ${expected}`);
  });
}

for (const sampler of ["sgld", "sghmc"] as const) {
  gpuTest(
    `${sampler} under a head's prior along axes draws from it where the likelihood is nothing beside it`,
    async (gpu) => {
      // One example against variances of 1e-5 and less: the likelihood moves a weight by 1e-3 of a standard deviation.
      const headPrior = { ...PRIOR, variance: PRIOR.variance.map((value) => value * 1e-4) };
      const settings = { sampler, momentum: 0.5, temperature: 1, numData: 1, priorStep: "implicit" } as const;
      const draws = await withSession(gpu, { headPrior, settings }, async (session, model) => {
        const found: Float64Array[] = [];
        for (let step = 0; step < 320; step++) {
          session.submit(step, batch, 1e-2, true);
          found.push(joined(await model.vectors.head.read(), CLASSES));
          if (step % 50 === 0) await session.metrics();
        }
        return found.slice(20);
      });
      const covariance = denseCovariance(headPrior), mean = joined(PRIOR.mean, CLASSES);
      // Along random directions the draws have the prior's variance; one that ignored the axes would not.
      let largest = 0;
      for (let direction = 0; direction < 20; direction++) {
        const along = values(100 + direction);
        let variance = 0;
        for (let a = 0; a < SIZE; a++) {
          for (let b = 0; b < SIZE; b++) variance += along[a] * covariance[a * SIZE + b] * along[b];
        }
        const projected = draws.map((draw) => draw.reduce((sum, value, i) => sum + along[i] * (value - mean[i]), 0));
        const square = projected.reduce((sum, value) => sum + value * value, 0) / projected.length;
        largest = Math.max(largest, Math.abs(square / variance - 1));
      }
      // 300 draws, hardly correlated: a standard error of 8 %.
      assert(largest < 0.35, `a variance is off by ${(100 * largest).toFixed(0)} %`);
    },
  );
}

gpuTest("weight decay does not draw a head with a learned prior to zero", async (gpu) => {
  const settings = { ...optionsOf({}).settings, weightDecay: 10 };
  assertEquals(
    await stepped(gpu, { headPrior: PRIOR, settings }, 0.01),
    await stepped(gpu, { headPrior: PRIOR }, 0.01),
  );
  assertNotEquals(await stepped(gpu, { settings }, 0.01), await stepped(gpu, {}, 0.01));
});

gpuTest("a step that overflows in mixed precision leaves head and velocities as they were", async (gpu) => {
  const loud = { ...start, backbone: start.backbone.map((value) => 8 * value) };
  const settings = {
    sampler: "sghmc",
    momentum: 0.9,
    temperature: 1,
    numData: EXAMPLES,
    priorStep: "implicit",
  } as const;
  const options = { headPrior: PRIOR, settings, precision: "mixed", lossScale: { initial: 2 ** 24 } } as const;
  await withSession(gpu, options, async (session, model) => {
    session.initialise(0.01);
    const before = await session.readState();
    session.submit(0, batch, 0.01, true);
    assertEquals((await session.metrics())[0].skippedSteps, 1);
    assertEquals((await model.read()).head, loud.head);
    assertEquals((await session.readState()).head, before.head);
  }, loud);
});

gpuTest("a head's prior is in the estimate of the memory, and another head's is refused", async (gpu) => {
  const bytes = (options: Partial<TrainingOptions>) => estimateMemory(gpu, CONFIG, optionsOf(options)).prior;
  const plain = bytes({ headPrior: { ...PRIOR, axes: undefined } });
  assertEquals(plain, bytes({ headVariance: 1 }));
  assert(bytes({ headPrior: PRIOR }) >= plain + 4 * (WIDTH ** 2 + CLASSES ** 2));
  const other = { ...AXES, outputs: reflection(CLASSES + 1, 1) };
  await assertRejects(
    () => stepped(gpu, { headPrior: { ...PRIOR, axes: other } }, 0.1),
    TypeError,
    "along axes of [5, ",
  );
  await assertRejects(() => stepped(gpu, { headPrior: PRIOR, headVariance: 1 }, 0.1), TypeError, "two priors");
});
