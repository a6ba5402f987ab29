/**
 * Trains the checkpoint that the demo starts from, on the built-in source task, and writes it beside this file:
 * `deno run -A tasks/demo/train_checkpoint.ts`. About 15 minutes on two CPU cores.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { BatchSequence } from "../../lib/data/training_batches.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { proceduralSource } from "../../lib/data/procedural.ts";
import { computeMetrics } from "../../lib/evaluation/metrics.ts";
import { softmax } from "../../lib/evaluation/softmax.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { trainSteps } from "../../lib/inference/loop.ts";
import { PredictionSession } from "../../lib/inference/prediction.ts";
import { cosine } from "../../lib/inference/schedules.ts";
import { TrainingSession } from "../../lib/inference/training.ts";
import { DeviceModel } from "../../lib/models/device_model.ts";
import { initialWeights, stateDictFromWeights } from "../../lib/models/weights.ts";

const ENCODER = "resnet8";
const SEED = 1;
const PER_CLASS = 500;
const EPOCHS = 16;
const BATCH_SIZE = 64;
const LEARNING_RATE = 0.1;

const train = proceduralSource({ seed: 0, perClass: PER_CLASS, split: "train" });
const test = proceduralSource({ seed: 0, perClass: 40, split: "test" });
using gpu = await openGpu();
const config = { encoder: ENCODER, numClasses: train.classNames.length, height: train.height, width: train.width };
const model = new DeviceModel(gpu, config);
model.write(initialWeights(model.layouts, SEED));
const normalisation = NORMALISATIONS.imagenet;
const batches = new BatchSequence(train, { batchSize: BATCH_SIZE, seed: SEED, augmentation: AUGMENTATIONS.crop });
const session = await TrainingSession.create(model, {
  batchSize: BATCH_SIZE,
  normalisation,
  augmentation: batches.augmentation,
  seed: SEED,
  settings: {
    sampler: "sgd",
    momentum: 0.9,
    nesterov: true,
    weightDecay: 5e-4,
    temperature: 0,
    numData: train.labels.length,
    priorStep: "explicit",
  },
});
const schedule = cosine({ learningRate: LEARNING_RATE, steps: EPOCHS * batches.stepsPerEpoch });
const start = performance.now();
await trainSteps(session, batches, schedule, {
  onMetrics(metrics) {
    const { step, loss } = metrics[metrics.length - 1];
    const rate = (step + 1) * BATCH_SIZE / (performance.now() - start) * 1000;
    if (step % 20 < metrics.length) {
      console.error(`step ${step + 1}/${schedule.steps}: loss ${loss.toFixed(3)}, ${rate.toFixed(0)} images/s`);
    }
  },
});
const prediction = await PredictionSession.create(model, { batchSize: 96, normalisation });
const metrics = computeMetrics(softmax(await prediction.logits(test), config.numClasses), test.labels);
console.error(`source test set: ${JSON.stringify(metrics)}`);
const bytes = writeSafetensors(stateDictFromWeights(model.layouts, await model.read()), {
  encoder: ENCODER,
  source: "swagpu's procedural source task",
  command: "deno run -A tasks/demo/train_checkpoint.ts",
  testAccuracy: String(metrics.accuracy),
});
await Deno.writeFile(new URL("resnet8.safetensors", import.meta.url), bytes);
