/**
 * Learning a prior without labels: self-supervised training, then SWAG snapshots of the backbone.
 *
 * @module
 */

import { type ViewGroup, viewSource } from "../../data/augmentation/view_source.ts";
import { viewBatches } from "../../data/augmentation/views.ts";
import { epochOf } from "../../data/training_order.ts";
import type { ImageSource } from "../../data/dataset.ts";
import { countUnlabelled, isUnlabelled } from "../../data/stl10.ts";
import type { Normalisation } from "../../data/normalisation.ts";
import { UsageError } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { ClassifierConfig } from "../../models/classifier.ts";
import { DeviceModel } from "../../models/device_model.ts";
import { initialHead } from "../../models/initial_head.ts";
import { initialPart, type Weights } from "../../models/weights.ts";
import { SubspaceCollector, type SubspaceOptions } from "../../priors/subspace/collector.ts";
import { estimateFeatures, evaluateFeatures, type FeatureEvaluation, FeatureSession } from "../features.ts";
import { readFinite, readFiniteSwag } from "../finite.ts";
import type { LearnedPrior, PriorCheckpoint } from "../learn_prior.ts";
import { type LoopHooks, trainSteps } from "../loop.ts";
import { estimateProbe } from "../linear_probe.ts";
import { estimateNeighbours } from "../nearest_neighbours.ts";
import type { OptimiserSettings } from "../optimisers/optimiser.ts";
import { PredictionSession } from "../prediction.ts";
import { highestRate, type Schedule } from "../schedules.ts";
import type { NetworkOptions } from "./network.ts";
import type { ObjectiveSettings } from "./objective.ts";
import { OBJECTIVE_NAMES, objectiveOf, settingsOf } from "./objectives.ts";
import type { OnlineClassifierOptions } from "./online_classifier.ts";
import type { MemoryEstimate } from "../training_step.ts";
import {
  estimateSelfSupervised,
  layoutObjective,
  type LossMetrics,
  type SelfSupervisedOptions,
  SelfSupervisedSession,
} from "./session.ts";

/** What to learn a prior from, and how. */
export interface LearnSelfSupervisedOptions extends SubspaceOptions {
  /** Network whose backbone learns. */
  readonly model: ClassifierConfig;
  /** Where the backbone starts; its running statistics as well. */
  readonly weights: Weights;
  /**
   * Images; only evaluation and objectives that need them use their labels, if any. What views are cut out of says
   * {@linkcode viewSource}.
   */
  readonly train: ImageSource;
  /** A name of {@linkcode OBJECTIVE_NAMES}. */
  readonly objective: string;
  /** Those of the objective's sizes and constants that are not its own. */
  readonly settings?: ObjectiveSettings;
  /** Large views first; views of one size together. */
  readonly views: readonly ViewGroup[];
  /** Examples a step; a smaller set trains whole. */
  readonly batchSize: number;
  /** From bytes to inputs. */
  readonly normalisation: Normalisation;
  /** Learning rates, and after which steps to take snapshots. */
  readonly schedule: Schedule;
  /** What moves the weights, before and while snapshots are taken. */
  readonly optimiser: OptimiserSettings;
  /** Compute activations again in the backward pass instead of keeping them. */
  readonly recompute?: boolean;
  /** Reproduce the original: keep the first weights' running statistics (defect D18). */
  readonly compat?: boolean;
  /** Seed of the examples' order, of the views and of the layers above the backbone. */
  readonly seed: number;
  /**
   * Measures the backbone every `every` steps, and before the first, on `val`. `bank` has the labels that are known; the
   * images that are learned from unless given. Where those that are learned from have labels, a linear classifier is trained
   * along and measured too; its learning rate follows the backbone's, and is `classifierLr`, default 0.1, where that is
   * highest.
   */
  readonly evaluation?: {
    readonly bank?: ImageSource;
    readonly val: ImageSource;
    readonly every: number;
    readonly classifierLr?: number;
    /** Trains another one along, of the momentum network's features, and measures that network by it. */
    readonly momentumClassifier?: boolean;
  };
  /** What the caller does along the way. */
  readonly hooks?: SelfSupervisedHooks;
}

/** What the caller does along the way. */
export interface SelfSupervisedHooks extends Pick<LoopHooks<LossMetrics>, "onMetrics" | "profiler"> {
  /** Receives how good the features are after `steps` steps. */
  onEvaluation?(evaluation: FeatureEvaluation & { readonly steps: number }): void | Promise<void>;
  /** Every `checkpointSteps` steps; the training waits for it. */
  onCheckpoint?(checkpoint: PriorCheckpoint): void | Promise<void>;
  /** Steps between checkpoints; default 500. */
  readonly checkpointSteps?: number;
}

/** The first running statistics of a network that has more of them than its backbone: the others begin at identity. */
function initialState(layout: DeviceModel["layouts"]["state"], backbone: Float32Array): Float32Array {
  const values = new Float32Array(layout.count);
  for (const { name, torchOffset, size } of layout.entries) {
    if (name.endsWith("running_var")) values.fill(1, torchOffset, torchOffset + size);
  }
  values.set(backbone);
  return values;
}

/** Refuses images of which some have no class for what learns from classes. */
function requireAllLabels(what: string, train: ImageSource): void {
  const missing = countUnlabelled(train);
  if (missing === 0) return;
  throw new UsageError(
    `Cannot ${what} from ${train.name}: ${missing} of its ${train.labels.length} images have no labels, but all of them ` +
      "must have one",
  );
}

function networkOptionsOf(
  { model, objective: name, settings = {}, views, normalisation, train }: LearnSelfSupervisedOptions,
  batchSize: number,
): NetworkOptions {
  const objective = objectiveOf(name), all = settingsOf(objective, settings);
  if (objective.needsLabels?.(all)) requireAllLabels(`learn by the supervised variant of the objective ${name}`, train);
  const { stepsPerEpoch } = epochOf(train, batchSize);
  return {
    model,
    objective,
    settings: all,
    views,
    source: viewSource(train, views),
    batchSize,
    stepsPerEpoch,
    normalisation,
  };
}

/** The classifier that is trained along: where features are measured, on images that have labels. */
function classifierOf(
  { train, schedule, evaluation }: LearnSelfSupervisedOptions,
): OnlineClassifierOptions | undefined {
  if (evaluation === undefined || isUnlabelled(train)) return undefined;
  const { classifierLr = 0.1 } = evaluation, highest = highestRate(schedule);
  return { numClasses: train.classNames.length, relativeRate: highest > 0 ? classifierLr / highest : 0 };
}

/** The classifier of the momentum network's features, where it is asked for. */
function momentumClassifierOf(options: LearnSelfSupervisedOptions): OnlineClassifierOptions | undefined {
  const { objective, train, evaluation } = options;
  if (!evaluation?.momentumClassifier) return undefined;
  if (objectiveOf(objective).momentum === undefined) {
    const others = OBJECTIVE_NAMES.filter((name) => objectiveOf(name).momentum !== undefined);
    throw new UsageError(
      `Cannot train a momentum classifier along with the objective ${objective}: it has no momentum network; ` +
        `${others.join(", ")} have one`,
    );
  }
  requireAllLabels("train a momentum classifier", train);
  return classifierOf(options);
}

/**
 * What a run trains, and how, by batches of `batchSize` examples.
 *
 * @throws UsageError where there is no such objective, it has no such setting, or labels or a momentum network are missing
 * that are needed
 */
export function sessionOptionsOf(options: LearnSelfSupervisedOptions, batchSize: number): SelfSupervisedOptions {
  const { optimiser, schedule, seed, recompute } = options;
  return {
    ...networkOptionsOf(options, batchSize),
    optimiser,
    steps: schedule.steps,
    seed,
    recompute,
    classifier: classifierOf(options),
    momentumClassifier: momentumClassifierOf(options),
  };
}

/** What a run would allocate by batches of `batchSize` examples, but for SWAG's vectors; allocates nothing. */
export function estimateLearning(gpu: Gpu, options: LearnSelfSupervisedOptions, batchSize: number): MemoryEstimate {
  const { model, train, evaluation } = options, trained = sessionOptionsOf(options, batchSize);
  const estimate = estimateSelfSupervised(gpu, trained);
  if (evaluation === undefined) return estimate;
  const features = estimateFeatures(gpu, model, batchSize), backbones = trained.momentumClassifier ? 2 : 1;
  const { labels: { length: examples }, classNames } = evaluation.bank ?? train, queries = evaluation.val.labels.length;
  // One after the other.
  const bytes = backbones * features.bytes + Math.max(
    estimateNeighbours(gpu, features.width, examples, queries),
    estimateProbe(gpu, features.width, examples, classNames.length),
  );
  return { ...estimate, evaluation: bytes, total: estimate.total + bytes };
}

/**
 * Learns a prior over a backbone's weights from unlabelled images, from the start or from a checkpoint; the prior does
 * not depend on where it stopped.
 *
 * @throws DivergedError where the loss, or a mean or variance of the weights, is not finite
 */
export async function learnSelfSupervised(
  gpu: Gpu,
  options: LearnSelfSupervisedOptions,
  from?: PriorCheckpoint,
): Promise<LearnedPrior> {
  const { train, schedule, normalisation, seed, evaluation, hooks = {} } = options;
  using batches = viewBatches(train, options.views, options);
  const trained = sessionOptionsOf(options, batches.batchSize);
  const layouts = layoutObjective(trained, gpu.maxBindingBytes);
  const model = new DeviceModel(gpu, options.model, layouts);
  model.write(
    from?.weights ?? {
      backbone: options.weights.backbone,
      head: initialHead(layouts.head, seed),
      state: initialState(layouts.state, options.weights.state),
    },
  );
  const session = await SelfSupervisedSession.create(model, trained);
  const collector = await SubspaceCollector.create(gpu, model.vectors.backbone, options);
  const featuresOf = (of: DeviceModel) => FeatureSession.create(of, { batchSize: batches.batchSize, normalisation });
  const features = evaluation && await featuresOf(model);
  const { classifier, momentumClassifier } = session;
  const momentumFeatures = momentumClassifier && await featuresOf(session.momentumModel!);
  const evaluate = async (steps: number) => {
    if (features === undefined || steps % evaluation!.every !== 0) return;
    await hooks.onEvaluation?.({
      steps,
      ...await evaluateFeatures(
        features,
        evaluation!.bank ?? train,
        evaluation!.val,
        {
          online: await classifier?.read(),
          momentum: momentumFeatures && { session: momentumFeatures, head: await momentumClassifier.read() },
        },
      ),
    });
  };
  try {
    if (from) {
      session.writeState({ optimiser: from.state, memories: from.memories ?? {} });
      collector.writeState(from.swag);
    } else await evaluate(0);
    await trainSteps(session, batches, schedule, {
      onMetrics: hooks.onMetrics,
      profiler: hooks.profiler,
      onCollect: () => collector.collect(),
      async afterStep(step) {
        await evaluate(step + 1);
        if (hooks.onCheckpoint === undefined || (step + 1) % (hooks.checkpointSteps ?? 500) !== 0) return;
        // Metrics first: a run that resumes here does not take the steps before again.
        await hooks.onMetrics?.(await session.metrics());
        const weights = await readFinite(model, step);
        const { optimiser, memories } = await session.readState();
        const swag = await collector.readState();
        await hooks.onCheckpoint({ step: step + 1, weights, state: optimiser, memories, swag });
      },
    }, { from: from?.step });
    const swag = await readFiniteSwag(collector);
    const { state } = await model.read();
    const weights = await refreshed(gpu, options, { backbone: swag.mean, state }, batches.batchSize);
    return { swag, weights, snapshots: collector.count };
  } finally {
    features?.destroy();
    momentumFeatures?.destroy();
    collector.destroy();
    session.destroy();
    model.destroy();
  }
}

/** A classifier of these weights, with a fresh head and the running statistics that belong to them, or the first ones. */
async function refreshed(
  gpu: Gpu,
  { model: config, train, normalisation, seed, compat, weights }: LearnSelfSupervisedOptions,
  { backbone, state }: Pick<Weights, "backbone" | "state">,
  batchSize: number,
): Promise<Weights> {
  const classifier = new DeviceModel(gpu, config);
  try {
    const head = initialPart(classifier.layouts, "head", seed);
    // The backbone's statistics come first: it was built first.
    classifier.write({
      backbone,
      head,
      state: compat ? weights.state : state.subarray(0, classifier.layouts.state.count),
    });
    if (!compat) await PredictionSession.updateBatchNorm(classifier, train, { batchSize, normalisation });
    return await classifier.read();
  } finally {
    classifier.destroy();
  }
}
