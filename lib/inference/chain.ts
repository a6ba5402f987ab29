/**
 * One chain of posterior samples of a downstream task; it can stop anywhere and resume exactly.
 *
 * @module
 */

import type { Augmentation } from "../data/augment.ts";
import type { AutotuneOptions } from "../tuning/autotune.ts";
import { autotuneClassifier } from "./autotune.ts";
import { trainingBatches } from "../data/training_batches.ts";
import { seedOfChain } from "../data/training_order.ts";
import type { ImageSource } from "../data/dataset.ts";
import type { Gpu } from "../gpu/device.ts";
import type { ClassifierConfig } from "../models/classifier.ts";
import { DeviceModel, layoutModel } from "../models/device_model.ts";
import type { Weights } from "../models/weights.ts";
import { requirePriorFits } from "../priors/device_gaussian.ts";
import { readFinite } from "./finite.ts";
import { requireAxesFit } from "./head_coordinates.ts";
import { type LoopHooks, trainSteps } from "./loop.ts";
import { requireTrainable } from "./requirements.ts";
import { requireSettings, requireStable } from "./samplers.ts";
import { highestRate, type Schedule } from "./schedules.ts";
import { type SamplerState, type TrainingOptions, TrainingSession } from "./training.ts";

/** What a chain samples, and how. */
export interface ChainOptions extends TrainingOptions {
  /** Network that is sampled. */
  readonly model: ClassifierConfig;
  /** Where the chain starts. */
  readonly weights: Weights;
  /** Training images and labels of the downstream task. */
  readonly train: ImageSource;
  /** What is done to training images; default nothing. */
  readonly augmentation?: Augmentation;
  /** Learning rates, which steps draw noise, and after which steps a sample is kept. */
  readonly schedule: Schedule;
  /** eps of the prior, for the message that refuses an unstable explicit step. */
  readonly priorEps?: number;
}

/** A sample of the posterior. */
export interface Sample {
  /** Index of the chain, from 0. */
  readonly chain: number;
  /** The sample is the weights after this step. */
  readonly step: number;
  /** Backbone, head and running statistics of BatchNorm. */
  readonly weights: Weights;
  /** log prior of backbone and head, in nats. */
  readonly logPrior: number;
}

/** All that a chain needs to go on: taken after `step` - 1, before `step`. */
export interface ChainCheckpoint {
  /** First step that is still to be done. */
  readonly step: number;
  /** Backbone, head and running statistics of BatchNorm. */
  readonly weights: Weights;
  /** What the sampler keeps between steps. */
  readonly state: SamplerState;
}

/** What the caller does along the way. */
export interface ChainHooks extends Pick<LoopHooks, "onMetrics" | "profiler"> {
  /** Receives each sample as it is drawn; the chain waits for it. */
  onSample(sample: Sample): void | Promise<void>;
  /** Every `checkpointSteps` steps. */
  onCheckpoint?(checkpoint: ChainCheckpoint): void | Promise<void>;
  /** Steps between checkpoints; default 100. */
  readonly checkpointSteps?: number;
}

/** Least of a prior's variances: its precision bounds an explicit step. */
function stiffnessOf({ prior, headVariance, headPrior }: ChainOptions): number {
  let least = headVariance ?? Infinity;
  for (const variances of [prior?.psi ?? [], headPrior?.variance ?? []]) {
    for (const value of variances) least = Math.min(least, value);
  }
  return 1 / least;
}

/**
 * Refuses a chain that cannot run: images or classes of another network, settings that mean nothing, a prior over another
 * network, or an explicit prior step that would diverge. Costs nothing: it needs no device.
 *
 * @throws TypeError where images have another size than the network's, or the prior and the backbone have different
 * numbers of parameters
 * @throws RangeError that names the largest stable learning rate and the smallest sufficient eps, or what else is wrong
 */
export function requireRunnable(options: ChainOptions): void {
  const { schedule, settings, prior, headPrior, model, train } = options;
  requireTrainable(train, model);
  requireSettings(settings);
  const layouts = layoutModel(model);
  if (prior !== undefined) requirePriorFits(prior, layouts.backbone);
  if (headPrior !== undefined) requirePriorFits(headPrior, layouts.head);
  if (headPrior?.axes !== undefined) requireAxesFit(layouts.head, headPrior.axes);
  requireStable(settings, highestRate(schedule), stiffnessOf(options), options.priorEps ?? 0);
}

/**
 * Runs a chain, from its start or from a checkpoint; the samples do not depend on where it stopped.
 *
 * @throws RangeError before the first step where an explicit prior step would diverge
 * @throws DivergedError where the loss or a weight to be kept is not finite
 */
export async function runChain(
  gpu: Gpu,
  options: ChainOptions,
  hooks: ChainHooks,
  from?: ChainCheckpoint,
): Promise<void> {
  const { train, schedule, seed, chain = 0 } = options;
  requireRunnable(options);
  // Chains differ in their noise and in the order of their examples.
  using batches = trainingBatches(train, {
    batchSize: options.batchSize,
    seed: seedOfChain(seed, chain),
    augmentation: options.augmentation,
  });
  using owned = new DisposableStack();
  const model = owned.adopt(new DeviceModel(gpu, options.model), (made) => made.destroy());
  model.write(from?.weights ?? options.weights);
  const created = await TrainingSession.create(model, {
    ...options,
    batchSize: batches.batchSize,
    augmentation: batches.augmentation,
    sourceSize: batches.sourceSize,
  });
  const session = owned.adopt(created, (made) => made.destroy());
  if (from) session.writeState(from.state);
  else session.initialise(schedule.learningRate(0));
  await trainSteps(session, batches, schedule, {
    onMetrics: hooks.onMetrics,
    profiler: hooks.profiler,
    async onCollect(step) {
      const weights = await readFinite(model, step);
      await hooks.onSample({ chain, step, weights, logPrior: await session.logPrior() });
    },
    async afterStep(step) {
      if (hooks.onCheckpoint === undefined || (step + 1) % (hooks.checkpointSteps ?? 100) !== 0) return;
      // Metrics first: a chain that resumes here does not take the steps before again.
      await hooks.onMetrics?.(await session.metrics());
      const weights = await readFinite(model, step);
      await hooks.onCheckpoint({ step: step + 1, weights, state: await session.readState() });
    },
  }, { from: from?.step });
}

/**
 * Runs a chain and returns its samples.
 *
 * @param options `autotune`: find the fastest kernels first; see {@linkcode autotuneClassifier}
 */
export async function samplePosterior(
  gpu: Gpu,
  options: ChainOptions & { readonly autotune?: AutotuneOptions },
  hooks: Pick<LoopHooks, "onMetrics" | "profiler"> = {},
): Promise<Sample[]> {
  if (options.autotune !== undefined) {
    const batchSize = Math.min(options.batchSize, options.train.labels.length);
    await autotuneClassifier(gpu, options.model, batchSize, options.autotune);
  }
  const samples: Sample[] = [];
  await runChain(gpu, options, { ...hooks, onSample: (sample) => void samples.push(sample) });
  return samples;
}
