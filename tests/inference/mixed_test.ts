/**
 * Training in mixed precision: skipped steps, small gradients, resuming, and what it costs a short run.
 *
 * @module
 */

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { expand } from "../../kernels/template.ts";
import { readSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { proceduralDownstream } from "../../lib/data/procedural.ts";
import { DivergedError } from "../../lib/errors.ts";
import { computeMetrics } from "../../lib/evaluation/metrics.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { type ChainCheckpoint, type ChainOptions, runChain, type Sample } from "../../lib/inference/chain.ts";
import { averagePredictions } from "../../lib/inference/prediction.ts";
import { type SamplerName, SAMPLERS } from "../../lib/inference/samplers.ts";
import { constant } from "../../lib/inference/schedules.ts";
import type { StepMetrics } from "../../lib/inference/metrics_ring.ts";
import { type TrainingOptions, TrainingSession } from "../../lib/inference/training.ts";
import { buildClassifier } from "../../lib/models/classifier.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights, type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { targetOf } from "../../lib/ops/operation.ts";
import { shiftedGaussian } from "../../lib/priors/gaussian.ts";
import { gpuTests } from "../gpu/harness.ts";
import { hashedValues } from "../reference/hashed.ts";

const gpuTest = gpuTests();
const CONFIG = { encoder: "resnet8", numClasses: 10, height: 32, width: 32 };
const BATCH = 10;
const layouts = layoutModel(CONFIG);
const start = initialWeights(layouts, 3);
const train = proceduralDownstream({ seed: 0, perClass: 10, split: "train" });

function batchAt(step: number) {
  const first = (step * BATCH) % train.labels.length;
  const labels = train.labels.slice(first, first + BATCH);
  return { images: train.images.slice(first * 3072, (first + BATCH) * 3072), labels: Uint32Array.from(labels) };
}

/** A prior of rank 2 about the first weights. */
const prior = shiftedGaussian({
  mean: start.backbone,
  variance: start.backbone.map(() => 1e-2),
  covFactor: [1, 2].map((stream) => hashedValues(stream, start.backbone.length, 1e-2)),
}, { scale: 1, eps: 1e-4 });

function optionsOf(sampler: SamplerName, more: Partial<TrainingOptions> = {}): TrainingOptions {
  return {
    batchSize: BATCH,
    normalisation: NORMALISATIONS.imagenet,
    settings: { sampler, momentum: 0.9, temperature: 1, numData: 100, priorStep: "implicit" },
    seed: 5,
    prior,
    headVariance: 1,
    precision: "mixed",
    ...more,
  };
}

async function withSession<T>(
  gpu: Gpu,
  options: TrainingOptions,
  weights: Weights,
  fn: (session: TrainingSession, model: DeviceModel) => Promise<T>,
): Promise<T> {
  const model = new DeviceModel(gpu, CONFIG);
  model.write(weights);
  const session = await TrainingSession.create(model, options);
  try {
    session.initialise(0.01);
    return await fn(session, model);
  } finally {
    session.destroy();
    model.destroy();
  }
}

gpuTest("f32 builds the kernels that it always built, and no others", async (gpu) => {
  const codes = new Set<string>();
  const { device } = gpu;
  const create = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) => {
    codes.add(descriptor.code);
    return create(descriptor);
  };
  try {
    // A batch of its own: pipelines of earlier tests are not built again.
    const batchSize = 7;
    const model = new DeviceModel(gpu, CONFIG);
    const session = await TrainingSession.create(model, optionsOf("sgd", { precision: undefined, batchSize }));
    session.destroy();
    model.destroy();
    const { graph } = buildClassifier(CONFIG, batchSize);
    const target = targetOf(gpu, { training: true });
    const expected = new Set(
      [...lowerForward(graph, target), ...lowerBackward(graph, target)].map(({ source, constants, floats }) =>
        expand(source, constants, floats)
      ),
    );
    const update = [...codes].filter((code) => !expected.has(code));
    assert(codes.size - update.length > 50 && update.length > 0);
    for (const code of codes) assert(!/loss_scale|pack2x16float|unpack2x16float/.test(code), code);
  } finally {
    device.createShaderModule = create;
  }
});

for (const sampler of Object.keys(SAMPLERS) as SamplerName[]) {
  for (const clipNorm of sampler === "sgd" ? [undefined, 1] : [undefined]) {
    const how = `${sampler}${clipNorm ? ", clipped" : ""}`;
    gpuTest(`${how}: a step that overflows leaves no trace, and the next is what it would have been`, async (gpu) => {
      // Loud weights: at a scale of 2^24 the gradients overflow f16.
      const options = optionsOf(sampler, { clipNorm, lossScale: { initial: 2 ** 24 } });
      const { skipped, scale, weights } = await withSession(gpu, options, start, async (session, model) => {
        const state = await session.readState();
        for (let step = 0;; step++) {
          session.submit(step, batchAt(step), 0.01, true);
          const [{ lossScale, skippedSteps, loss }] = await session.metrics();
          assert(Number.isFinite(loss));
          const weights = await model.read();
          if (skippedSteps === step) return { skipped: step, scale: lossScale!, weights };
          assertEquals([skippedSteps, lossScale], [step + 1, 2 ** (23 - step)]);
          assertEquals(weights, start);
          const { backbone, head } = await session.readState();
          assertEquals([backbone, head], [state.backbone, state.head]);
        }
      });
      assert(skipped >= 1, "no step overflowed");
      for (const part of ["backbone", "head", "state"] as const) assertNotEquals(weights[part], start[part]);
      await withSession(
        gpu,
        optionsOf(sampler, { clipNorm, lossScale: { initial: scale } }),
        start,
        async (session, model) => {
          session.submit(skipped, batchAt(skipped), 0.01, true);
          assertEquals((await session.metrics())[0].skippedSteps, 0);
          assertEquals(await model.read(), weights);
        },
      );
    });
  }
}

/** Displacement of the backbone after one large step of plain descent on labels that are almost certain. */
async function displacement(gpu: Gpu, options: Partial<TrainingOptions>): Promise<number[]> {
  // The other classes have probabilities of about 1e-5: in the backbone the loss's gradient lies below what f16 holds.
  const head = start.head.slice();
  head[head.length - 10 + 4] = 11;
  const weights = { ...start, head };
  const { images } = batchAt(0);
  const settings = { sampler: "sgd", momentum: 0, temperature: 0, numData: 100, priorStep: "explicit" } as const;
  const plain = { settings, prior: undefined, headVariance: undefined };
  return await withSession(gpu, optionsOf("sgd", { ...plain, ...options }), weights, async (session, model) => {
    session.submit(0, { images, labels: new Uint32Array(BATCH).fill(4) }, 1e3, false);
    await session.metrics();
    const { backbone } = await model.read();
    return Array.from(backbone, (value, i) => value - start.backbone[i]);
  });
}

const norm = (values: readonly number[]) => Math.hypot(...values);

gpuTest("a gradient too small for f16 is lost without a loss scale and kept with one", async (gpu) => {
  const exact = await displacement(gpu, { precision: "f32" });
  const kept = await displacement(gpu, { lossScale: { initial: 65536 } });
  const lost = await displacement(gpu, { lossScale: { initial: 1 } });
  const error = (found: readonly number[]) => norm(found.map((value, i) => value - exact[i])) / norm(exact);
  assert(norm(exact) > 0);
  assert(error(kept) < 0.1, `with a loss scale the step differs by ${error(kept)}`);
  assert(error(lost) > 0.9, `without, it differs by ${error(lost)}`);
});

gpuTest("activations beyond f16 stop the run, and the weights are still those of before", async (gpu) => {
  const loud = { ...start, head: start.head.map((value) => value * 1e38) };
  await withSession(gpu, optionsOf("sgd"), loud, async (session, model) => {
    session.submit(0, batchAt(0), 0.01, false);
    await assertRejects(() => session.metrics(), DivergedError, "--precision f32");
    assertEquals(await model.read(), loud);
  });
});

function chainOf(more: Partial<ChainOptions> = {}): ChainOptions {
  return {
    ...optionsOf("sghmc"),
    model: CONFIG,
    weights: start,
    train,
    schedule: constant({ learningRate: 0.01, steps: 12, samples: 2 }),
    // It overflows, recovers and grows within the run.
    lossScale: { initial: 2 ** 24, growthInterval: 3 },
    ...more,
  };
}

/** All that a chain hands out. */
async function record(gpu: Gpu, options: ChainOptions, from?: ChainCheckpoint) {
  const metrics: StepMetrics[] = [], samples: Sample[] = [], checkpoints: ChainCheckpoint[] = [];
  await runChain(gpu, options, {
    onMetrics: (some) => void metrics.push(...some),
    onSample: (sample) => void samples.push(sample),
    onCheckpoint: (checkpoint) => void checkpoints.push(checkpoint),
    checkpointSteps: 1,
  }, from);
  return { metrics, samples, checkpoints };
}

for (const recompute of [false, true]) {
  gpuTest(
    `a mixed chain resumes bit for bit from each checkpoint, loss scale included; recompute ${recompute}`,
    async (gpu) => {
      const options = chainOf({ recompute });
      const whole = await record(gpu, options);
      const scales = whole.metrics.map(({ lossScale }) => Math.log2(lossScale!));
      const skipped = whole.metrics.map(({ skippedSteps }) => skippedSteps!);
      assert(skipped[0] === 1 && skipped.at(-1)! < 12, `skipped ${skipped}`);
      assert(scales.some((scale, i) => scale > scales[i - 1]), `scales ${scales}`);
      for (const checkpoint of whole.checkpoints.filter(({ step }) => step % 3 === 1)) {
        const rest = await record(gpu, options, checkpoint);
        assertEquals(rest.metrics, whole.metrics.slice(checkpoint.step));
        assertEquals(rest.samples, whole.samples.filter(({ step }) => step >= checkpoint.step));
      }
      // The scale is part of the state: without it the run goes on otherwise.
      const { state, ...middle } = whole.checkpoints[4];
      const other = await record(gpu, options, { ...middle, state: { ...state, lossScale: undefined } });
      assertNotEquals(other.metrics, whole.metrics.slice(5));
    },
  );
}

gpuTest("a short run in mixed precision ends where one in f32 does", async (gpu) => {
  const test = proceduralDownstream({ seed: 0, perClass: 20, split: "test" });
  const file = await Deno.readFile(new URL("../../tasks/demo/resnet8.safetensors", import.meta.url));
  const weights = weightsFromStateDict(layouts, readSafetensors(file).tensors, { head: "fresh", seed: 1 });
  const outcome = async (precision: "f32" | "mixed") => {
    const settings = { sampler: "sgd", momentum: 0.9, temperature: 0, numData: 100, priorStep: "explicit" } as const;
    const { metrics, samples } = await record(gpu, {
      ...chainOf({ precision, settings, weights, prior: undefined, lossScale: undefined, batchSize: 20 }),
      schedule: constant({ learningRate: 0.02, steps: 60, samples: 1 }),
    });
    const options = { batchSize: 100, normalisation: NORMALISATIONS.imagenet, precision };
    const average = await averagePredictions(gpu, CONFIG, samples.map(({ weights }) => weights), test, options);
    const last = metrics.slice(-5).reduce((sum, { loss }) => sum + loss / 5, 0);
    return { first: metrics[0].loss, last, ...computeMetrics(average.probabilities(), test.labels) };
  };
  const exact = await outcome("f32"), mixed = await outcome("mixed");
  const seen = JSON.stringify({ exact, mixed });
  assert(Math.abs(mixed.first - exact.first) < 1e-3 * exact.first, seen);
  // Both learn, and end alike: two runs of other seeds differ by more.
  assert(exact.last < 0.5 * exact.first && mixed.last < 0.5 * mixed.first, seen);
  assert(Math.abs(mixed.last - exact.last) < 0.1, seen);
  assert(Math.abs(mixed.accuracy - exact.accuracy) < 0.06, seen);
});
