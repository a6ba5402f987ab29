/**
 * The demo's pre-trained network and the prior that it learns from the source task.
 *
 * @module
 */

import { readSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { proceduralSource } from "../../lib/data/procedural.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { type LearnedPrior, learnPrior } from "../../lib/inference/learn_prior.ts";
import { constantSwag } from "../../lib/inference/swag_schedules.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { weightsFromStateDict } from "../../lib/models/weights.ts";

/** The network of the demo. */
export const ENCODER = "resnet8";

/** Learns the prior: SGD at a constant rate from the shipped checkpoint, a snapshot every few steps. */
export async function learnDemoPrior(
  gpu: Gpu,
  steps: number,
  onStep: (step: number, loss: number) => void,
): Promise<LearnedPrior> {
  const train = proceduralSource({ seed: 0, perClass: 100, split: "train" });
  const model = { encoder: ENCODER, numClasses: train.classNames.length, height: train.height, width: train.width };
  const file = await Deno.readFile(new URL("resnet8.safetensors", import.meta.url));
  return await learnPrior(gpu, {
    model,
    weights: weightsFromStateDict(layoutModel(model), readSafetensors(file).tensors, { head: "require", seed: 0 }),
    train,
    batchSize: 64,
    normalisation: NORMALISATIONS.imagenet,
    augmentation: AUGMENTATIONS.crop,
    schedule: constantSwag({ learningRate: 0.01, steps, start: 10, interval: 5 }),
    momentum: 0.9,
    weightDecay: 5e-4,
    maxRank: 10,
    seed: 0,
    hooks: {
      onMetrics(metrics) {
        const last = metrics.at(-1);
        if (last !== undefined) onStep(last.step, last.loss);
      },
    },
  });
}
