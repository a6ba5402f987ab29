/**
 * Learning a prior: SGD from a checkpoint on the source task, with SWAG snapshots of the backbone.
 *
 * @module
 */

import type { Augmentation } from "../data/augment.ts";
import { BatchSequence } from "../data/batches.ts";
import type { ImageSet } from "../data/dataset.ts";
import type { Normalisation } from "../data/normalisation.ts";
import { DivergedError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { ClassifierConfig } from "../models/classifier.ts";
import { DeviceModel } from "../models/device_model.ts";
import type { Weights } from "../models/weights.ts";
import { type Swag, SwagCollector, type SwagOptions } from "../priors/swag.ts";
import { type LoopHooks, trainSteps } from "./loop.ts";
import { PredictionSession } from "./prediction.ts";
import type { Schedule } from "./schedules.ts";
import { TrainingSession } from "./training.ts";

/** What to learn a prior from, and how. */
export interface LearnPriorOptions extends SwagOptions {
  /** Network; its head is of the source task. */
  readonly model: ClassifierConfig;
  /** Where SGD starts: a pre-trained network. */
  readonly weights: Weights;
  /** The source task. */
  readonly train: ImageSet;
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
  /** Seed of the examples' order and the augmentation. */
  readonly seed: number;
  /** What the caller does along the way. */
  readonly hooks?: Pick<LoopHooks, "onMetrics" | "profiler">;
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
 * Learns a prior over a backbone's weights.
 *
 * @throws DivergedError where the loss, or a mean or variance of the weights, is not finite
 */
export async function learnPrior(gpu: Gpu, options: LearnPriorOptions): Promise<LearnedPrior> {
  const { train, schedule, normalisation, augmentation, seed } = options;
  const batches = new BatchSequence(train, { batchSize: options.batchSize, seed, augmentation });
  const model = new DeviceModel(gpu, options.model);
  model.write(options.weights);
  const session = await TrainingSession.create(model, {
    batchSize: batches.batchSize,
    normalisation,
    labelSmoothing: options.labelSmoothing,
    recompute: options.recompute,
    seed,
    settings: {
      sampler: "sgd",
      momentum: options.momentum ?? 0.9,
      weightDecay: options.weightDecay ?? 0,
      temperature: 0,
      numData: train.labels.length,
      priorStep: "explicit",
    },
  });
  const collector = await SwagCollector.create(gpu, model.vectors.backbone, options);
  try {
    await trainSteps(session, batches, schedule, { ...options.hooks, onCollect: () => collector.collect() });
    const swag = await collector.read();
    const bad = swag.mean.findIndex((value, i) => !Number.isFinite(value + swag.variance[i]));
    if (bad >= 0) {
      throw new DivergedError(
        `Cannot learn a prior: the mean of weight ${bad} is ${swag.mean[bad]} and its variance ${
          swag.variance[bad]
        }, but finite ones are required; use a smaller learning rate`,
      );
    }
    const { head, state } = await model.read();
    model.write({ backbone: swag.mean, head, state });
    await PredictionSession.updateBatchNorm(model, train, { batchSize: batches.batchSize, normalisation });
    return { swag, weights: await model.read(), snapshots: collector.count };
  } finally {
    collector.destroy();
    session.destroy();
    model.destroy();
  }
}
