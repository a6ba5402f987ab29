/**
 * The demo's rivals: five ways to use one pre-trained network on a downstream task, at equal budget.
 *
 * @module
 */

import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import type { ImageSet } from "../../lib/data/dataset.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { computeMetrics, type Metrics, reliability } from "../../lib/evaluation/metrics.ts";
import type { ReliabilityBin } from "../../lib/evaluation/calibration.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { samplePosterior } from "../../lib/inference/chain.ts";
import type { LearnedPrior } from "../../lib/inference/learn_prior.ts";
import { averagePredictions } from "../../lib/inference/prediction.ts";
import type { SamplerName } from "../../lib/inference/samplers.ts";
import { cosine, cyclical } from "../../lib/inference/schedules.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialPart } from "../../lib/models/weights.ts";
import { type Gaussian, isotropic, shiftedGaussian } from "../../lib/priors/gaussian.ts";

/** What is chosen for a rival on validation images. */
export interface Setting {
  readonly learningRate: number;
  /** Strength of the prior: the variance of the isotropic one, lambda of the learned one; unused without a prior. */
  readonly scale: number;
  /** Of a sampler's posterior; 1, which is the posterior itself, unless given. */
  readonly temperature?: number;
}

/** One way to use a pre-trained network. */
export interface Rival {
  /** Name in tables. */
  readonly name: string;
  readonly sampler: SamplerName;
  /** What is tried: as many settings for every rival. */
  readonly search: readonly Setting[];
  /** The setting that `choose.ts` found best for the demo. */
  readonly chosen: Setting;
  /** The prior over the backbone, from what was learned on the source task. */
  prior(learned: LearnedPrior, scale: number): Gaussian | undefined;
}

/** What every rival may spend. */
export interface Budget {
  readonly steps: number;
  readonly batchSize: number;
  /** Samples that a sampler averages. */
  readonly samples: number;
  readonly cycles: number;
}

/** What a rival reached on the test images. */
export interface Outcome {
  readonly metrics: Metrics;
  readonly bins: readonly ReliabilityBin[];
  /** Images trained on per second, the whole run. */
  readonly imagesPerSecond: number;
}

/** Added to the variance of every weight of the learned prior. */
export const EPS = 1e-6;
/** Variance of the head's weights. */
export const HEAD_VARIANCE = 1;
/** Of every rival; 1 - friction of SGHMC. */
export const MOMENTUM = 0.9;

/** The learned prior, scaled. */
function learnedPrior({ swag }: LearnedPrior, scale: number): Gaussian {
  return shiftedGaussian(swag, { scale, eps: EPS });
}

/** Every learning rate with every scale. */
function grid(learningRates: readonly number[], scales: readonly number[]): Setting[] {
  return learningRates.flatMap((learningRate) => scales.map((scale) => ({ learningRate, scale })));
}

/** The five rivals. The last samples a posterior sharper than Bayes' (Wenzel et al., arXiv 2002.02405), as the paper does. */
export const RIVALS: readonly Rival[] = [
  {
    name: "SGD, no prior",
    sampler: "sgd",
    search: grid([0.005, 0.01, 0.02, 0.05, 0.1, 0.2], [0]),
    chosen: { learningRate: 0.05, scale: 0 },
    prior: () => undefined,
  },
  {
    name: "isotropic prior, MAP",
    sampler: "sgd",
    search: grid([0.02, 0.1], [1e-4, 1e-3, 1e-2]),
    chosen: { learningRate: 0.1, scale: 1e-3 },
    prior: ({ swag }, scale) => isotropic(swag.mean, scale),
  },
  {
    name: "learned prior, MAP",
    sampler: "sgd",
    search: grid([0.02, 0.1], [1e1, 1e3, 1e5]),
    chosen: { learningRate: 0.1, scale: 10 },
    prior: learnedPrior,
  },
  {
    name: "learned prior, SGHMC average",
    sampler: "sghmc",
    search: grid([0.02, 0.1], [1, 1e1, 1e2]),
    chosen: { learningRate: 0.1, scale: 1 },
    prior: learnedPrior,
  },
  {
    name: "learned prior, cold SGHMC average",
    sampler: "sghmc",
    search: [1e-1, 1e-2, 1e-3].flatMap((temperature) =>
      grid([0.1, 0.2], [1e1]).map((setting) => ({ ...setting, temperature }))
    ),
    chosen: { learningRate: 0.2, scale: 10, temperature: 1e-2 },
    prior: learnedPrior,
  },
];

/** Trains a rival and measures its predictions. */
export async function runRival(
  gpu: Gpu,
  rival: Rival,
  { learningRate, scale, temperature = 1 }: Setting,
  task: {
    readonly config: ClassifierConfig;
    readonly learned: LearnedPrior;
    readonly train: ImageSet;
    readonly test: ImageSet;
  },
  budget: Budget,
  seed: number,
): Promise<Outcome> {
  const { config, learned, train, test } = task;
  const normalisation = NORMALISATIONS.imagenet;
  const batchSize = Math.min(budget.batchSize, train.labels.length);
  const { steps, samples, cycles } = budget;
  const start = performance.now();
  const drawn = await samplePosterior(gpu, {
    model: config,
    weights: { ...learned.weights, head: initialPart(layoutModel(config), "head", seed) },
    train,
    batchSize,
    normalisation,
    augmentation: AUGMENTATIONS.crop,
    seed,
    prior: rival.prior(learned, scale),
    headVariance: HEAD_VARIANCE,
    schedule: rival.sampler === "sgd"
      ? cosine({ learningRate, steps })
      : cyclical({ learningRate, steps, cycles, samples }),
    settings: {
      sampler: rival.sampler,
      momentum: MOMENTUM,
      nesterov: true,
      temperature,
      numData: train.labels.length,
      priorStep: "implicit",
    },
  });
  const imagesPerSecond = steps * batchSize / (performance.now() - start) * 1000;
  const average = await averagePredictions(gpu, config, drawn.map(({ weights }) => weights), test, {
    batchSize: 100,
    normalisation,
  });
  const probabilities = average.probabilities();
  return {
    metrics: computeMetrics(probabilities, test.labels, average.mutualInformation()),
    bins: reliability(probabilities, test.labels, 10),
    imagesPerSecond,
  };
}
