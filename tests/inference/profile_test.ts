import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { proceduralDownstream } from "../../lib/data/procedural.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Profiler } from "../../lib/gpu/profiler.ts";
import { samplePosterior } from "../../lib/inference/chain.ts";
import { constant } from "../../lib/inference/schedules.ts";
import type { Precision } from "../../lib/inference/training.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { isotropic } from "../../lib/priors/gaussian.ts";
import { gpuTests } from "../gpu/harness.ts";

const gpuTest = gpuTests();
const STEPS = 5;

/** A short SGHMC chain with clipped gradients: every list of launches that a step may have. */
async function weightsAfter(gpu: Gpu, precision: Precision, profiler?: Profiler): Promise<Float32Array> {
  const train = proceduralDownstream({ seed: 0, perClass: 2, split: "train" });
  const { height, width, classNames } = train;
  const model = { encoder: "resnet8_narrow", numClasses: classNames.length, height, width };
  const weights = initialWeights(layoutModel(model), 3);
  const [sample] = await samplePosterior(gpu, {
    model,
    weights,
    train,
    batchSize: 8,
    normalisation: NORMALISATIONS.imagenet,
    seed: 2,
    prior: isotropic(weights.backbone, 0.1),
    clipNorm: 1,
    precision,
    schedule: constant({ learningRate: 0.05, steps: STEPS, samples: 1 }),
    settings: { sampler: "sghmc", momentum: 0.9, temperature: 1, numData: 20, priorStep: "implicit" },
  }, { profiler });
  assertEquals(sample.step, STEPS - 1);
  const { backbone, head, state } = sample.weights;
  assertNotEquals(backbone, weights.backbone);
  return Float32Array.from([...backbone, ...head, ...state]);
}

for (const precision of ["f32", "mixed"] as const) {
  gpuTest(`profiled steps leave the same weights, bit for bit, precision ${precision}`, async (gpu) => {
    const expected = await weightsAfter(gpu, precision);
    const profiler = new Profiler(gpu, { warmUp: 1, steps: 3 });
    assertEquals(await weightsAfter(gpu, precision, profiler), expected);
    profiler.destroy();
    assertEquals(profiler.steps.map(({ step }) => step), [1, 2, 3]);
    const names = profiler.steps.map(({ device }) => device.map(({ name }) => name));
    assertEquals(names[1], names[0]);
    for (const name of ["conv1 forward", "conv1 weight gradient", "loss totals", "squared norm", "backbone stage 0"]) {
      assert(names[0].includes(name), `no launch was ${name}`);
    }
    for (const { host, device } of profiler.steps) {
      assertEquals(host.map(({ name }) => name), ["data", "upload", "encode", "submit", "wait"]);
      for (const { start, end } of [...host, ...device]) assert(end >= start);
    }
  });
}
