/**
 * Learning a prior from views of unlabelled images: `prior --objective simclr` and the like.
 *
 * @module
 */

import { epochOf } from "../../lib/data/training_order.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { seedOfChain } from "../../lib/inference/learn_prior.ts";
import {
  estimateLearning,
  learnSelfSupervised,
  type LearnSelfSupervisedOptions,
  sessionOptionsOf,
} from "../../lib/inference/objectives/learn.ts";
import type { ObjectiveSettings } from "../../lib/inference/objectives/objective.ts";
import { layoutObjective } from "../../lib/inference/objectives/session.ts";
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
    supervised: flags.supervisedContrast ? 1 : undefined,
    projHidden: flags.projHiddenDim,
    projOut: flags.projOutputDim,
    predHidden: flags.predHiddenDim,
    queueSize: flags.queueSize,
    queueStart: flags.epochQueueStarts,
    baseMomentum: flags.baseTauMomentum,
    finalMomentum: flags.finalTauMomentum,
    prototypes: flags.numPrototypes,
    heads: flags.prototypeHeads,
    clusterIterations: flags.kmeansIters,
    whiteningSize: flags.whiteningSize,
    whiteningIterations: flags.whiteningIters,
    whiteningEps: flags.whiteningEps,
  };
  return Object.fromEntries(Object.entries(given).filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** Learns by a loss that compares views. */
export function fromViews(
  gpu: Gpu,
  flags: Flags,
  { data, classifier, weights, train, bank, val }: PriorTask,
): PriorLearning {
  const views = viewsOf(flags, train);
  const { batchSize, stepsPerEpoch } = epochOf(train, flags.batchSize);
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
    evaluation: val && {
      bank,
      val,
      every: flags.knnEvery! * stepsPerEpoch,
      classifierLr: flags.classifierLr,
      momentumClassifier: flags.momentumClassifier,
    },
  };
  const trained = sessionOptionsOf(options, batchSize);
  return {
    batchSize,
    schedule,
    layouts: layoutObjective(trained),
    estimate: () => estimateLearning(gpu, options, batchSize),
    learn: (hooks, from, chain) =>
      learnSelfSupervised(gpu, { ...options, seed: seedOfChain(flags.seed, chain), hooks }, from),
  };
}
