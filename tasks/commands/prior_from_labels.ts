/**
 * Learning a prior from labels: `prior --objective supervised`.
 *
 * @module
 */

import { deviceAugmentation } from "../../lib/data/training_batches.ts";
import { epochOf } from "../../lib/data/training_order.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { learnPrior } from "../../lib/inference/learn_prior.ts";
import { estimateMemory } from "../../lib/inference/training_step.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import type { Flags } from "./prior.ts";
import { pcaRankOf } from "./prior_flags.ts";
import type { PriorLearning, PriorTask } from "./prior_learning.ts";
import { scheduleOf } from "./prior_schedule.ts";
import { augmentationOf, normalisationOf } from "./treatment.ts";

/** Learns by the cross-entropy of labels. */
export function fromLabels(
  gpu: Gpu,
  flags: Flags,
  { train, data, classifier, weights }: PriorTask,
): PriorLearning {
  const { batchSize, stepsPerEpoch } = epochOf(train, flags.batchSize);
  const normalisation = normalisationOf(data);
  const settings = {
    sampler: "sgd",
    momentum: flags.momentum,
    temperature: 0,
    numData: 1,
    priorStep: "explicit",
  } as const;
  return {
    batchSize,
    // Made when it is asked for: a plan of the memory needs none.
    get schedule() {
      return scheduleOf(flags, stepsPerEpoch);
    },
    layouts: layoutModel(classifier),
    estimate: () =>
      estimateMemory(gpu, classifier, {
        batchSize,
        normalisation,
        ...deviceAugmentation(train, augmentationOf(data)),
        settings,
        seed: flags.seed,
        recompute: flags.recompute,
        precision: flags.precision,
      }),
    learn: ({ onEvaluation: _, ...hooks }, from, chain) =>
      learnPrior(gpu, {
        ...flags,
        // The device is tuned already, as far as it shall be.
        autotune: undefined,
        model: classifier,
        weights,
        train,
        batchSize,
        normalisation,
        augmentation: augmentationOf(data),
        schedule: scheduleOf(flags, stepsPerEpoch),
        varianceClamp: flags.varClamp,
        pcaRank: pcaRankOf(flags),
        chain,
        hooks,
      }, from),
  };
}
