import { assert, assertEquals } from "@std/assert";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { proceduralSource } from "../../lib/data/procedural.ts";
import { BatchSequence } from "../../lib/data/training_batches.ts";
import { trainSteps } from "../../lib/inference/loop.ts";
import { constant } from "../../lib/inference/schedules.ts";
import { TrainingSession } from "../../lib/inference/training.ts";
import { DeviceModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { isotropic } from "../../lib/priors/gaussian.ts";
import { gpuTests } from "../gpu/harness.ts";

const gpuTest = gpuTests();
const MIB = 2 ** 20;
/** Garbage that waits to be collected; 1,000 leaked buffers of even a small layer would be more. */
const ALLOWED_GROWTH = 24 * MIB;

gpuTest("1,000 training steps leave the device's memory and the process's as they were", async (gpu) => {
  const train = proceduralSource({ seed: 1, perClass: 1 });
  const model = new DeviceModel(gpu, { encoder: "resnet8_narrow", numClasses: 24, height: 32, width: 32 });
  model.write(initialWeights(model.layouts, 1));
  const settings = { sampler: "sghmc", momentum: 0.9, temperature: 1, numData: 24, priorStep: "implicit" } as const;
  const session = await TrainingSession.create(model, {
    batchSize: 2,
    normalisation: NORMALISATIONS.imagenet,
    settings,
    seed: 1,
    prior: isotropic(new Float32Array(model.layouts.backbone.count), 1),
    headVariance: 1,
  });
  const batches = new BatchSequence(train, { batchSize: 2, seed: 1 });
  const schedule = constant({ learningRate: 1e-3, steps: 1200 });
  await trainSteps(session, batches, schedule, {}, { until: 200 });
  const before = { live: gpu.live, rss: Deno.memoryUsage().rss };
  await trainSteps(session, batches, schedule, {}, { from: 200 });
  const growth = Deno.memoryUsage().rss - before.rss;
  assertEquals(gpu.live, before.live);
  assert(growth < ALLOWED_GROWTH, `the process grew by ${(growth / MIB).toFixed(1)} MiB in 1,000 steps`);
  session.destroy();
  model.destroy();
});
