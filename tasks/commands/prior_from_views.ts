/**
 * Learning a prior from views of unlabelled images: `prior --objective simclr` and the like.
 *
 * @module
 */

import { epochOf, seedOfChain } from "../../lib/data/training_order.ts";
import { UsageError } from "../../lib/errors.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import {
  estimateLearning,
  learnSelfSupervised,
  type LearnSelfSupervisedOptions,
  sessionOptionsOf,
} from "../../lib/inference/objectives/learn.ts";
import type { ObjectiveSettings } from "../../lib/inference/objectives/objective.ts";
import { objectiveOf } from "../../lib/inference/objectives/objectives.ts";
import { layoutObjective } from "../../lib/inference/objectives/session.ts";
import { flagName } from "../cli/flags.ts";
import type { Flags } from "./prior.ts";
import { pcaRankOf } from "./prior_flags.ts";
import type { PriorLearning, PriorTask } from "./prior_learning.ts";
import { scheduleOf } from "./prior_schedule.ts";
import { viewsOf } from "./prior_views.ts";
import { normalisationOf } from "./treatment.ts";

/** The flag that gives each of the objectives' settings; most objectives have a few of them. */
const SETTINGS = {
  temperature: "temperature",
  supervised: "supervisedContrast",
  projHidden: "projHiddenDim",
  projOut: "projOutputDim",
  predHidden: "predHiddenDim",
  queueSize: "queueSize",
  queueStart: "epochQueueStarts",
  freezeEpochs: "freezePrototypesEpochs",
  baseMomentum: "baseTauMomentum",
  finalMomentum: "finalTauMomentum",
  prototypes: "numPrototypes",
  heads: "prototypeHeads",
  clusterIterations: "kmeansIters",
  whiteningSize: "whiteningSize",
  whiteningIterations: "whiteningIters",
  whiteningEps: "whiteningEps",
} as const satisfies Readonly<Record<string, keyof Flags>>;

/**
 * The objective's settings that the flags give.
 *
 * @throws UsageError where the objective has no such setting; it names the flags that it reads
 */
function settingsGiven(flags: Flags): ObjectiveSettings {
  const { name, defaults } = objectiveOf(flags.objective);
  const given = Object.entries(SETTINGS).filter(([, flag]) => flags[flag] !== undefined && flags[flag] !== false);
  const unread = given.find(([setting]) => !Object.hasOwn(defaults, setting));
  if (unread !== undefined) {
    const read = Object.entries(SETTINGS).filter(([setting]) => Object.hasOwn(defaults, setting));
    throw new UsageError(
      `Cannot use --${flagName(unread[1])} with --objective ${name}: of such flags it reads ` +
        read.map(([, flag]) => `--${flagName(flag)}`).join(", "),
    );
  }
  return Object.fromEntries(given.map(([setting, flag]) => [setting, Number(flags[flag])]));
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
