/**
 * Learning a prior: SGD from a checkpoint on the source task, with SWAG snapshots of the backbone.
 *
 * @module
 */

import type { Augmentation } from "../data/augment.ts";
import { trainingBatches } from "../data/training_batches.ts";
import { seedOfChain } from "../data/training_order.ts";
import type { ImageSource } from "../data/dataset.ts";
import type { Normalisation } from "../data/normalisation.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Precision } from "../graph/precision.ts";
import type { ClassifierConfig } from "../models/classifier.ts";
import { DeviceModel } from "../models/device_model.ts";
import type { Weights } from "../models/weights.ts";
import { SubspaceCollector, type SubspaceOptions } from "../priors/subspace/collector.ts";
import type { Swag, SwagState } from "../priors/swag.ts";
import type { AutotuneOptions } from "../tuning/autotune.ts";
import { autotuneClassifier } from "./autotune.ts";
import { readFinite, readFiniteSwag } from "./finite.ts";
import { type LoopHooks, trainSteps } from "./loop.ts";
import { PredictionSession } from "./prediction.ts";
import { requireTrainable } from "./requirements.ts";
import { requireSettings } from "./samplers.ts";
import type { Schedule } from "./schedules.ts";
import { type SamplerState, TrainingSession } from "./training.ts";

/** What to learn a prior from, and how. */
export interface LearnPriorOptions extends SubspaceOptions {
  /** Network; its head is of the source task. */
  readonly model: ClassifierConfig;
  /** Where SGD starts: a pre-trained network. */
  readonly weights: Weights;
  /** The source task. */
  readonly train: ImageSource;
  /** Examples a step; a smaller set trains whole. */
  readonly batchSize: number;
  /** From bytes to inputs: the one that the checkpoint was trained with. */
  readonly normalisation: Normalisation;
  /** What is done to training images; default nothing. */
  readonly augmentation?: Augmentation;
  /** Learning rates, and after which steps to take snapshots. */
  readonly schedule: Schedule;
  /** Share of the last update that is kept; default 0.9. */
  readonly momentum?: number;
  /** Added to the gradient as weightDecay * theta; default 0. */
  readonly weightDecay?: number;
  /** Share of a label's mass spread over all classes, 0 to 1; default 0. */
  readonly labelSmoothing?: number;
  /** Compute activations again in the backward pass instead of keeping them: less memory, the same bits. */
  readonly recompute?: boolean;
  /** How activations and their gradients are stored; default `f32`. */
  readonly precision?: Precision;
  /** Seed of the examples' order, the augmentation and random directions. */
  readonly seed: number;
  /** Index of the chain, which has an order of its own; default 0. */
  readonly chain?: number;
  /** Reproduce the original: keep the first weights' running statistics (defect D18). */
  readonly compat?: boolean;
  /** Find the fastest kernels first; see {@linkcode autotuneClassifier}. Absent: those of {@linkcode Gpu.tuning}. */
  readonly autotune?: AutotuneOptions;
  /** What the caller does along the way. */
  readonly hooks?: LearnPriorHooks;
}

/** What the caller does along the way. */
export interface LearnPriorHooks extends Pick<LoopHooks, "onMetrics" | "profiler"> {
  /** Every `checkpointSteps` steps; the training waits for it. */
  onCheckpoint?(checkpoint: PriorCheckpoint): void | Promise<void>;
  /** Steps between checkpoints; default 500. */
  readonly checkpointSteps?: number;
}

/** All that learning a prior needs to go on: taken after `step` - 1, before `step`. */
export interface PriorCheckpoint {
  /** First step that is still to be done. */
  readonly step: number;
  /** Backbone, head and running statistics of BatchNorm. */
  readonly weights: Weights;
  /** SGD's velocities. */
  readonly state: SamplerState;
  /** Snapshots so far. */
  readonly swag: SwagState;
  /** What a self-supervised objective remembers, by name. */
  readonly memories?: Readonly<Record<string, Float32Array>>;
}

/** A learned prior over the backbone. */
export interface LearnedPrior {
  /** Mean, variance and deviations of the backbone's weights. */
  readonly swag: Swag;
  /** The mean's network: its running statistics are recomputed on the source task; the head is the last one. */
  readonly weights: Weights;
  /** Snapshots that entered mean and variance; the deviations kept may be fewer. */
  readonly snapshots: number;
}

/**
 * Learns a prior over a backbone's weights, from the start or from a checkpoint; the prior does not depend on where it
 * stopped.
 *
 * @throws TypeError where images have another size than the network's
 * @throws RangeError where a label is none of its classes
 * @throws DivergedError where the loss, or a mean or variance of the weights, is not finite
 */
export async function learnPrior(
  gpu: Gpu,
  options: LearnPriorOptions,
  from?: PriorCheckpoint,
): Promise<LearnedPrior> {
  const { train, schedule, normalisation, augmentation, hooks = {} } = options;
  requireTrainable(train, options.model);
  const settings = {
    sampler: "sgd",
    momentum: options.momentum ?? 0.9,
    weightDecay: options.weightDecay ?? 0,
    temperature: 0,
    numData: train.labels.length,
    priorStep: "explicit",
  } as const;
  requireSettings(settings);
  const seed = seedOfChain(options.seed, options.chain);
  using batches = trainingBatches(train, { batchSize: options.batchSize, seed, augmentation });
  if (options.autotune !== undefined) {
    await autotuneClassifier(gpu, options.model, batches.batchSize, options.autotune);
  }
  using owned = new DisposableStack();
  const model = owned.adopt(new DeviceModel(gpu, options.model), (made) => made.destroy());
  model.write(from?.weights ?? options.weights);
  const created = await TrainingSession.create(model, {
    batchSize: batches.batchSize,
    normalisation,
    augmentation: batches.augmentation,
    sourceSize: batches.sourceSize,
    labelSmoothing: options.labelSmoothing,
    recompute: options.recompute,
    precision: options.precision,
    seed: options.seed,
    settings,
  });
  const session = owned.adopt(created, (made) => made.destroy());
  const collector = owned.adopt(
    await SubspaceCollector.create(gpu, model.vectors.backbone, { ...options, seed }),
    (made) => made.destroy(),
  );
  if (from) {
    session.writeState(from.state);
    collector.writeState(from.swag);
  }
  await trainSteps(session, batches, schedule, {
    onMetrics: hooks.onMetrics,
    profiler: hooks.profiler,
    onCollect: () => collector.collect(),
    async afterStep(step) {
      if (hooks.onCheckpoint === undefined || (step + 1) % (hooks.checkpointSteps ?? 500) !== 0) return;
      // Metrics first: a run that resumes here does not take the steps before again.
      await hooks.onMetrics?.(await session.metrics());
      const weights = await readFinite(model, step);
      const state = await session.readState();
      await hooks.onCheckpoint({ step: step + 1, weights, state, swag: await collector.readState() });
    },
  }, { from: from?.step });
  const swag = await readFiniteSwag(collector);
  const { head, state } = await model.read();
  model.write({ backbone: swag.mean, head, state: options.compat ? options.weights.state : state });
  if (!options.compat) {
    await PredictionSession.updateBatchNorm(model, train, {
      batchSize: batches.batchSize,
      normalisation,
      precision: options.precision,
    });
  }
  return { swag, weights: await model.read(), snapshots: collector.count };
}
