/**
 * The two ways in which `prior` learns: from labels, and from views of unlabelled images.
 *
 * @module
 */

import { type ViewGroup, ViewSequence } from "../../lib/data/augmentation/views.ts";
import type { View } from "../../lib/data/augmentation/view.ts";
import { epochOf } from "../../lib/data/batches.ts";
import { type ImageSet, type ImageSource, isStream } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { FeatureEvaluation } from "../../lib/inference/features.ts";
import {
  type LearnedPrior,
  learnPrior,
  type LearnPriorHooks,
  type PriorCheckpoint,
  seedOfChain,
} from "../../lib/inference/learn_prior.ts";
import {
  learnSelfSupervised,
  type LearnSelfSupervisedOptions,
  networkOptionsOf,
} from "../../lib/inference/objectives/learn.ts";
import type { ObjectiveSettings } from "../../lib/inference/objectives/objective.ts";
import { OBJECTIVE_NAMES, objectiveOf } from "../../lib/inference/objectives/objectives.ts";
import { estimateSelfSupervised, layoutObjective } from "../../lib/inference/objectives/session.ts";
import { pretraining } from "../../lib/inference/pretraining.ts";
import type { Schedule } from "../../lib/inference/schedules.ts";
import { estimateMemory, type MemoryEstimate } from "../../lib/inference/training_step.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel, type ModelLayouts } from "../../lib/models/device_model.ts";
import type { Weights } from "../../lib/models/weights.ts";
import type { Flags } from "./prior.ts";
import { pcaRankOf } from "./prior_flags.ts";
import { augmentationOf, type DataFlags, normalisationOf } from "./treatment.ts";

/** What a prior is learned from. */
export interface PriorTask {
  readonly train: ImageSource;
  /** Images that features are measured on, where they are. */
  readonly val?: ImageSource;
  /** How images are treated. */
  readonly data: DataFlags;
  readonly classifier: ClassifierConfig;
  /** Where learning starts. */
  readonly weights: Weights;
}

/** What a step says of itself. */
export interface PriorMetrics {
  readonly step: number;
  readonly loss: number;
  /** Of labels only. */
  readonly accuracy?: number;
}

/** What the command does along the way. */
export interface PriorHooks extends Pick<LearnPriorHooks, "profiler" | "checkpointSteps" | "onCheckpoint"> {
  onMetrics(metrics: readonly PriorMetrics[]): void;
  onEvaluation(evaluation: FeatureEvaluation & { readonly steps: number }): void;
}

/** One way to learn a prior. */
export interface PriorLearning {
  /** Images of a step. */
  readonly batchSize: number;
  readonly schedule: Schedule;
  /** Of the weights in a checkpoint. */
  readonly layouts: ModelLayouts;
  /** What it would allocate, but for SWAG. */
  estimate(): MemoryEstimate;
  learn(hooks: PriorHooks, from?: PriorCheckpoint, chain?: number): Promise<LearnedPrior>;
}

/** The way that the flags ask for; `swag` makes the schedule of the snapshots from the steps of an epoch. */
export function preparePrior(
  gpu: Gpu,
  flags: Flags,
  task: PriorTask,
  swag: (stepsPerEpoch: number) => Schedule,
): PriorLearning {
  return flags.objective === "supervised" ? fromLabels(gpu, flags, task, swag) : fromViews(gpu, flags, task, swag);
}

function fromLabels(
  gpu: Gpu,
  flags: Flags,
  { train, data, classifier, weights }: PriorTask,
  swag: (stepsPerEpoch: number) => Schedule,
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
      return swag(stepsPerEpoch);
    },
    layouts: layoutModel(classifier),
    estimate: () =>
      estimateMemory(gpu, classifier, {
        batchSize,
        normalisation,
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
        schedule: swag(stepsPerEpoch),
        varianceClamp: flags.varClamp,
        pcaRank: pcaRankOf(flags),
        chain,
        hooks,
      }, from),
  };
}

/** The objective's settings that the flags give. */
function settingsGiven(flags: Flags): ObjectiveSettings {
  const given = {
    temperature: flags.temperature,
    projHidden: flags.projHiddenDim,
    projOut: flags.projOutputDim,
    predHidden: flags.predHiddenDim,
    queueSize: flags.queueSize,
    prototypes: flags.numPrototypes,
    heads: flags.prototypeHeads,
    clusterIterations: flags.kmeansIters,
    whiteningSize: flags.whiteningSize,
    whiteningIterations: flags.whiteningIters,
    whiteningEps: flags.whiteningEps,
  };
  return Object.fromEntries(Object.entries(given).filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** Least share of an image that a view shows, unless the flags say otherwise. */
const LEAST_SCALE = 0.08;
/** SimCLR's share of an image's side that a blur spans. */
const BLUR_SHARE = 0.1;

/** The views that the flags describe: two large ones, and small ones where the objective takes them. */
function viewsOf(flags: Flags, set: ImageSet): ViewGroup[] {
  const large = largeView(flags, set), count = flags.numSmallCrops ?? 0;
  if (count === 0) return [[large, large]];
  const takers = OBJECTIVE_NAMES.filter((name) => objectiveOf(name).multiCrop);
  if (!takers.includes(flags.objective)) {
    throw new UsageError(
      `Cannot use --num-small-crops ${count} with --objective ${flags.objective}: ${takers.join(", ")} would take them`,
    );
  }
  const side = flags.smallCropSize ?? Math.max(8, Math.round(large.height / 2));
  const scale = [flags.minScale ?? LEAST_SCALE, flags.smallMaxScale ?? 0.4] as const;
  const small = { ...large, height: side, width: side, resize: { ...large.resize, scale }, blur: undefined };
  return [[large, large], Array(count).fill(small)];
}

function largeView(flags: Flags, { height, width }: ImageSet) {
  const size = flags.cropSize === undefined ? { height, width } : { height: flags.cropSize, width: flags.cropSize };
  const kernel = Math.max(3, 2 * Math.round((BLUR_SHARE * size.height - 1) / 2) + 1);
  return {
    ...size,
    resize: {
      kind: "random-resized-crop",
      scale: [flags.minScale ?? LEAST_SCALE, 1],
      ratio: [3 / 4, 4 / 3],
      filter: "bicubic",
    },
    horizontalFlip: flags.horizontalFlipProb ?? 0.5,
    jitter: {
      probability: flags.colorJitterProb ?? 0.8,
      brightness: flags.brightness ?? 0.8,
      contrast: flags.contrast ?? 0.8,
      saturation: flags.saturation ?? 0.8,
      hue: flags.hue ?? 0.2,
    },
    grey: flags.grayScaleProb ?? 0.2,
    blur: { probability: flags.gaussianProb ?? 0.5, kernel, sigma: [0.1, 2] },
    solarise: { probability: flags.solarizationProb ?? 0, threshold: 128 / 255 },
  } satisfies View;
}

/** Views are cut on the device, out of images in memory. */
function inMemory(set: ImageSource): ImageSet {
  if (!isStream(set)) return set;
  throw new RangeError(
    `Cannot learn from views of ${set.name}: its ${set.labels.length} images are too many for memory, and ones that ` +
      "fit are required; use fewer (--num-of-train-examples) or smaller ones (--image-size)",
  );
}

function fromViews(
  gpu: Gpu,
  flags: Flags,
  { data, classifier, weights, ...task }: PriorTask,
  swag: (stepsPerEpoch: number) => Schedule,
): PriorLearning {
  const train = inMemory(task.train), val = task.val && inMemory(task.val);
  const views = viewsOf(flags, train);
  const { batchSize, stepsPerEpoch } = new ViewSequence(train, views, flags);
  const epochs = flags.pretrainEpochs ?? 0;
  const schedule = pretraining({
    learningRate: flags.lr ?? 0.1,
    steps: epochs * stepsPerEpoch,
    warmup: (flags.warmupEpochs ?? Math.round(epochs / 10)) * stepsPerEpoch,
  }, swag(stepsPerEpoch));
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
