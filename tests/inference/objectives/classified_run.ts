/** A short run that trains classifiers along, and what they are held to. */

import type { ViewBatch } from "../../../lib/data/augmentation/views.ts";
import { NORMALISATIONS } from "../../../lib/data/normalisation.ts";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { submitLaunches } from "../../../lib/gpu/launch.ts";
import { Graph, lowerForward } from "../../../lib/graph/graph.ts";
import { compile } from "../../../lib/graph/program.ts";
import type { FeatureEvaluation } from "../../../lib/inference/features.ts";
import type { LearnedPrior, PriorCheckpoint } from "../../../lib/inference/learn_prior.ts";
import { learnSelfSupervised, type LearnSelfSupervisedOptions } from "../../../lib/inference/objectives/learn.ts";
import type { ObjectiveNetwork } from "../../../lib/inference/objectives/network.ts";
import { constantSwag } from "../../../lib/inference/swag_schedules.ts";
import type { TableValues } from "../../../lib/models/classifier.ts";
import { type DeviceModel, layoutModel } from "../../../lib/models/device_model.ts";
import { initialWeights } from "../../../lib/models/weights.ts";
import { targetOf, type Tensor } from "../../../lib/ops/operation.ts";
import { softmaxCrossEntropy } from "../../reference/softmax_cross_entropy.ts";
import { tensor } from "../../reference/tensor.ts";
import { firstOf, NETWORK, trainingImages, VIEW } from "./instances.ts";

/** Classes of the procedural images. */
export const CLASSES = 24;
export const LARGE = { ...VIEW, height: 16, width: 16 }, SMALL = { ...VIEW, height: 8, width: 8 };
export const weights = initialWeights(layoutModel(NETWORK), 3);

/** Four steps of swav, two an epoch, from views of two sizes. */
export const RUN: LearnSelfSupervisedOptions = {
  model: NETWORK,
  weights,
  normalisation: NORMALISATIONS.imagenet,
  seed: 1,
  train: firstOf(trainingImages(), 20),
  objective: "swav",
  settings: { projHidden: 16, projOut: 8, prototypes: 12, queueSize: 21 },
  views: [[LARGE, LARGE], [SMALL]],
  batchSize: 9,
  schedule: constantSwag({ learningRate: 0.02, steps: 4 }),
  optimiser: { optimiser: "sgd", momentum: 0.9, weightDecay: 1e-4 },
  maxRank: 2,
};
export const EVALUATION = { val: firstOf(trainingImages(), 30), every: 2 };

/** What is left of a run. */
export async function learn(
  gpu: Gpu,
  options: LearnSelfSupervisedOptions,
  from?: PriorCheckpoint,
): Promise<
  Pick<LearnedPrior, "swag" | "weights"> & {
    readonly checkpoints: PriorCheckpoint[];
    readonly evaluations: (FeatureEvaluation & { readonly steps: number })[];
  }
> {
  const checkpoints: PriorCheckpoint[] = [], evaluations: (FeatureEvaluation & { readonly steps: number })[] = [];
  const { swag, weights } = await learnSelfSupervised(gpu, {
    ...options,
    hooks: {
      checkpointSteps: 2,
      onCheckpoint: (checkpoint) => void checkpoints.push(checkpoint),
      onEvaluation: (evaluation) => void evaluations.push(evaluation),
    },
  }, from);
  return { swag, weights, checkpoints, evaluations };
}

/** Largest difference, as a share of the largest number. */
export function worst(found: Float32Array, wanted: Float64Array): number {
  const largest = (values: Float64Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largest(wanted.map((value, i) => value - found[i])) / largest(wanted);
}

/** The gradient [C * F + C] of the mean cross-entropy of features [rows, F], in float64. */
export function gradientOf(head: Float64Array, features: Float32Array, labels: readonly number[]): Float64Array {
  const rows = labels.length, width = features.length / rows, bias = CLASSES * width;
  const logits = tensor([rows, CLASSES]);
  logits.data.forEach((_, i) => {
    const c = i % CLASSES, row = (i - c) / CLASSES;
    let sum = head[bias + c];
    for (let j = 0; j < width; j++) sum += head[c * width + j] * features[row * width + j];
    logits.data[i] = sum;
  });
  const { dLogits } = softmaxCrossEntropy(logits, labels);
  const gradient = new Float64Array(head.length);
  dLogits.data.forEach((slope, i) => {
    const c = i % CLASSES, row = (i - c) / CLASSES;
    for (let j = 0; j < width; j++) gradient[c * width + j] += slope * features[row * width + j];
    gradient[bias + c] += slope;
  });
  return gradient;
}

/** Features of a batch's views in training mode [views * B, F], by a program that does nothing else. */
export async function featuresOf(
  { gpu, vectors }: DeviceModel,
  { graph, features, images, parameters, constants }: ObjectiveNetwork,
  batch: ViewBatch,
): Promise<Float32Array> {
  const end = graph.operations.findIndex(({ output }) => output === features) + 1;
  const written: [Tensor, Uint8Array<ArrayBuffer> | TableValues][] = [
    ...images.map((tensor, index): [Tensor, Uint8Array<ArrayBuffer>] => [tensor, batch.images[index]]),
    ...parameters.map((tensor, index): [Tensor, TableValues] => [tensor, batch.parameters[index]]),
    ...constants,
  ];
  const externals = new Map(written.map(([tensor, values]) => {
    const buffer = gpu.createBuffer(tensor.name, values.byteLength);
    gpu.device.queue.writeBuffer(buffer, 0, values);
    return [tensor, buffer] as const;
  }));
  const launches = lowerForward(new Graph(graph.operations.slice(0, end)), targetOf(gpu, { training: true }));
  const program = await compile(gpu, launches, { label: "features", vectors, externals, keep: [features] });
  submitLaunches(gpu, "features", program.launches);
  const { buffer, offset, size } = program.rangeOf(features);
  const found = new Float32Array(await gpu.read(buffer, offset, size));
  program.destroy();
  externals.forEach((external) => gpu.destroyBuffer(external));
  return found;
}
