/**
 * Learning a prior from views of unlabelled images: `prior --objective simclr` and the like.
 *
 * @module
 */

import { ViewSequence } from "../../lib/data/augmentation/views.ts";
import { type ImageSet, type ImageSource, isStream } from "../../lib/data/dataset.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { seedOfChain } from "../../lib/inference/learn_prior.ts";
import {
  learnSelfSupervised,
  type LearnSelfSupervisedOptions,
  networkOptionsOf,
} from "../../lib/inference/objectives/learn.ts";
import type { ObjectiveSettings } from "../../lib/inference/objectives/objective.ts";
import { estimateSelfSupervised, layoutObjective } from "../../lib/inference/objectives/session.ts";
import type { Flags } from "./prior.ts";
import { pcaRankOf } from "./prior_flags.ts";
import type { PriorLearning, PriorTask } from "./prior_learning.ts";
import { scheduleOf } from "./prior_schedule.ts";
import { viewsOf } from "./prior_views.ts";
import { normalisationOf } from "./treatment.ts";

/** The objective's settings that the flags give. */
function settingsGiven(flags: Flags): ObjectiveSettings {
  const given = {
    temperature: flags.temperature,
    projHidden: flags.projHiddenDim,
    projOut: flags.projOutputDim,
    predHidden: flags.predHiddenDim,
    queueSize: flags.queueSize,
    queueStart: flags.epochQueueStarts,
    prototypes: flags.numPrototypes,
    heads: flags.prototypeHeads,
    clusterIterations: flags.kmeansIters,
    whiteningSize: flags.whiteningSize,
    whiteningIterations: flags.whiteningIters,
    whiteningEps: flags.whiteningEps,
  };
  return Object.fromEntries(Object.entries(given).filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** Views are cut on the device, out of images in memory. */
function inMemory(set: ImageSource): ImageSet {
  if (!isStream(set)) return set;
  throw new RangeError(
    `Cannot learn from views of ${set.name}: its ${set.labels.length} images are too many for memory, and ones that ` +
      "fit are required; use fewer (--num-of-train-examples) or smaller ones (--image-size)",
  );
}

/** Learns by a loss that compares views. */
export function fromViews(
  gpu: Gpu,
  flags: Flags,
  { data, classifier, weights, ...task }: PriorTask,
): PriorLearning {
  const train = inMemory(task.train), val = task.val && inMemory(task.val);
  const views = viewsOf(flags, train);
  const { batchSize, stepsPerEpoch } = new ViewSequence(train, views, flags);
  const schedule = scheduleOf(flags, stepsPerEpoch);
  const options: LearnSelfSupervisedOptions = {
    ...flags,
    model: classifier,
    weights,
    train,
    settings: settingsGiven(flags),
    views,
    normalisation: normalisationOf(data),
    schedule,
    optimiser: {
      optimiser: flags.optimizer ?? "sgd",
      momentum: flags.momentum,
      weightDecay: flags.weightDecay,
      trust: flags.etaLars,
      clip: flags.gradClipLars,
    },
    varianceClamp: flags.varClamp,
    pcaRank: pcaRankOf(flags),
    evaluation: val && { val, every: flags.knnEvery! * stepsPerEpoch },
  };
  const network = networkOptionsOf(options, batchSize);
  return {
    batchSize,
    schedule,
    layouts: layoutObjective(network),
    estimate: () => estimateSelfSupervised(gpu, { ...options, ...network, steps: schedule.steps }),
    learn: (hooks, from, chain) =>
      learnSelfSupervised(gpu, { ...options, seed: seedOfChain(flags.seed, chain), hooks }, from),
  };
}
