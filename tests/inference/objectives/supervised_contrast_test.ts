/** SimCLR's supervised variant in training: which views belong together. */

import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { createImageSet, UNLABELLED } from "../../../lib/data/dataset.ts";
import { NORMALISATIONS } from "../../../lib/data/normalisation.ts";
import { UsageError } from "../../../lib/errors.ts";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { learnSelfSupervised, sessionOptionsOf } from "../../../lib/inference/objectives/learn.ts";
import { constantSwag } from "../../../lib/inference/swag_schedules.ts";
import { layoutModel } from "../../../lib/models/device_model.ts";
import { initialWeights } from "../../../lib/models/weights.ts";
import { gpuTests } from "../../gpu/harness.ts";
import { firstOf, NETWORK, trainingImages, VIEW } from "./instances.ts";

const gpuTest = gpuTests();

const COUNT = 12;
const IMAGES = firstOf(trainingImages(), COUNT);
const LARGE = { ...VIEW, height: 16, width: 16 };

/** Four steps, two an epoch, on the same images with the labels given. */
function runOf(label: (example: number) => number, supervised: number) {
  const labels = Uint32Array.from({ length: COUNT }, (_, example) => label(example));
  const classNames = Array.from({ length: COUNT }, (_, i) => `class ${i}`);
  return {
    model: NETWORK,
    weights: initialWeights(layoutModel(NETWORK), 3),
    normalisation: NORMALISATIONS.imagenet,
    seed: 1,
    train: createImageSet({ ...IMAGES, classNames, labels }),
    objective: "simclr",
    settings: { projHidden: 16, projOut: 8, supervised },
    views: [[LARGE, LARGE]],
    batchSize: 6,
    schedule: constantSwag({ learningRate: 0.02, steps: 4 }),
    optimiser: { optimiser: "sgd", momentum: 0.9, weightDecay: 1e-4 },
    maxRank: 2,
  } as const;
}

async function learned(gpu: Gpu, label: (example: number) => number, supervised: number) {
  return (await learnSelfSupervised(gpu, runOf(label, supervised))).swag;
}

gpuTest("simclr's supervised variant goes by which labels are equal, and is simclr where none are", async (gpu) => {
  const plain = await learned(gpu, (example) => example % 3, 0);
  assertEquals(await learned(gpu, (example) => example, 1), plain);
  assertEquals(await learned(gpu, () => 0, 0), plain);
  const classes = await learned(gpu, (example) => example % 3, 1);
  assertNotEquals(classes.mean, plain.mean);
  assertEquals(await learned(gpu, (example) => 7 - 2 * (example % 3), 1), classes);
  assertNotEquals((await learned(gpu, (example) => example % 2, 1)).mean, classes.mean);
});

gpuTest("simclr's supervised variant is refused for images without labels", async (gpu) => {
  const run = runOf(() => 0, 1);
  const unlabelled = { ...run, train: { ...run.train, classNames: [UNLABELLED] } };
  await assertRejects(
    () => learnSelfSupervised(gpu, unlabelled),
    UsageError,
    "12 of its 12 images have no labels, but all",
  );
  const plain = { ...unlabelled, settings: { ...run.settings, supervised: 0 } };
  assertEquals(sessionOptionsOf(plain, 6).settings.supervised, 0);
  assertThrows(
    () => sessionOptionsOf({ ...run, settings: { supervised: 2 } }, 6),
    UsageError,
    "supervised is 2, but 0 or 1 is required",
  );
});
