/**
 * The diagonal of the Fisher information of a network's weights, by gradients of single examples.
 *
 * @module
 */

import accumulateSquaresSource from "../../kernels/accumulate_squares.wgsl" with { type: "text" };
import elementwiseSource from "../../kernels/elementwise.wgsl" with { type: "text" };
import { evaluationBatches } from "../data/evaluation_batches.ts";
import type { ImageSource } from "../data/dataset.ts";
import type { Normalisation } from "../data/normalisation.ts";
import { takeExamples } from "../data/subset.ts";
import { softmax } from "../evaluation/softmax.ts";
import { type Launch, prepareLaunch, submitLaunches } from "../gpu/launch.ts";
import type { Gpu } from "../gpu/device.ts";
import { lowerBackward, lowerForward } from "../graph/graph.ts";
import { compile, planProgram } from "../graph/program.ts";
import { FlatVector, segmentsOf } from "../graph/vector.ts";
import { buildClassifier, type Classifier, type ClassifierConfig } from "../models/classifier.ts";
import { DeviceModel, layoutModel } from "../models/device_model.ts";
import { createExternals } from "../models/externals.ts";
import type { Weights } from "../models/weights.ts";
import { shapeLoop } from "../ops/elementwise.ts";
import { type Dispatch, targetOf } from "../ops/operation.ts";
import { PhiloxSequence, Stream } from "../random/philox.ts";
import { PredictionSession } from "./prediction.ts";

/**
 * Whose labels the gradients are of: the `data`'s (the empirical Fisher, as elastic weight consolidation takes it), or
 * drawn from the `model`'s predictions (the Fisher itself, whose expectation is the Gauss-Newton matrix).
 */
export type FisherLabels = "data" | "model";

/** What is measured, and on what. */
export interface FisherOptions {
  /** The network; its head is of the source task. */
  readonly model: ClassifierConfig;
  /** The trained network; BatchNorm uses its running statistics. */
  readonly weights: Weights;
  /** The source task. */
  readonly train: ImageSource;
  /** From bytes to inputs: the one that the network was trained with. */
  readonly normalisation: Normalisation;
  /** Whose labels the gradients are of. */
  readonly labels: FisherLabels;
  /** Examples to use, drawn by the seed; default all. */
  readonly examples?: number;
  /** Examples at a time where predictions are wanted; gradients are taken one at a time. Default 64. */
  readonly batchSize?: number;
  /** Seed of the examples and of the labels drawn. */
  readonly seed: number;
  /** Called now and then with the examples done. */
  onProgress?(done: number): void;
}

/** Examples submitted before the device is waited for. */
const AHEAD = 64;
/** Examples at a time where predictions are wanted. */
const DEFAULT_BATCH = 64;

/**
 * The mean over examples of the squared gradient of log p(y | x) by each weight of the backbone, [P], in evaluation mode.
 *
 * @throws RangeError where more examples are asked for than there are
 */
export async function fisherDiagonal(gpu: Gpu, options: FisherOptions): Promise<Float32Array> {
  const model = new DeviceModel(gpu, options.model);
  try {
    model.write(options.weights);
    const set = await labelledExamples(model, options);
    return (await sumOfSquares(model, set, options)).map((sum) => sum / set.labels.length);
  } finally {
    model.destroy();
  }
}

/**
 * Refuses a number of examples that there are not.
 *
 * @throws RangeError that names both
 */
export function requireExamples(examples: number, available: number): void {
  if (Number.isInteger(examples) && examples >= 1 && examples <= available) return;
  throw new RangeError(`Cannot measure the curvature on ${examples} examples: 1 to ${available} are required`);
}

/** Device memory that {@linkcode fisherDiagonal} needs, in bytes. */
export interface FisherEstimate {
  /** Weights and running statistics. */
  readonly parameters: number;
  readonly gradients: number;
  /** Sums of the gradients' squares. */
  readonly squares: number;
  /** Of one example, or of the predictions of a batch where they take more. */
  readonly activations: number;
  readonly total: number;
}

/** What {@linkcode fisherDiagonal} would allocate; allocates nothing. */
export function estimateFisher(
  gpu: Gpu,
  { model, labels, examples, batchSize = DEFAULT_BATCH }: Pick<FisherOptions, "model" | "labels" | "batchSize"> & {
    readonly examples: number;
  },
): FisherEstimate {
  const { backbone, head, state } = layoutModel(model, gpu.maxBindingBytes);
  const planned = (dispatches: readonly Dispatch[], keep: Parameters<typeof planProgram>[2]) =>
    planProgram(gpu, dispatches, keep).bytes;
  const one = planned(lowerGradient(gpu, buildClassifier(model, 1)), []);
  const batch = buildClassifier(model, Math.min(batchSize, examples));
  const predicted = labels === "data"
    ? 0
    : planned(lowerForward(batch.graph, targetOf(gpu, { training: false })), [batch.logits]);
  const parts = {
    parameters: 4 * (backbone.paddedCount + head.paddedCount + state.paddedCount),
    gradients: 4 * (backbone.paddedCount + head.paddedCount),
    squares: 4 * backbone.paddedCount,
    activations: Math.max(one, predicted),
  };
  return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) };
}

/** The examples to use, with the labels that gradients are of. */
async function labelledExamples(model: DeviceModel, options: FisherOptions): Promise<ImageSource> {
  const { train, seed, batchSize = DEFAULT_BATCH, normalisation, examples = train.labels.length } = options;
  requireExamples(examples, train.labels.length);
  const order = new PhiloxSequence(seed, Stream.subset).shuffle(Uint32Array.from(train.labels, (_, i) => i));
  const set = takeExamples(train, order.slice(0, examples));
  if (options.labels === "data") return set;
  const session = await PredictionSession.create(model, { batchSize: Math.min(batchSize, examples), normalisation });
  try {
    return { ...set, labels: drawLabels(await session.logits(set), options.model.numClasses, seed) };
  } finally {
    session.destroy();
  }
}

/** A label of each row of logits, by its softmax. */
export function drawLabels(logits: Float32Array, classes: number, seed: number): Uint32Array<ArrayBuffer> {
  const probabilities = softmax(logits, classes);
  return Uint32Array.from({ length: logits.length / classes }, (_, row) => {
    let rest = new PhiloxSequence(seed, Stream.predictedLabel, row).uniform();
    for (let label = 0; label < classes - 1; label++) {
      rest -= probabilities[row * classes + label];
      if (rest < 0) return label;
    }
    return classes - 1;
  });
}

/** Sum over examples of the squared gradients, [P]. */
async function sumOfSquares(model: DeviceModel, set: ImageSource, options: FisherOptions): Promise<Float32Array> {
  const { gpu, config, layouts, vectors } = model;
  const classifier = buildClassifier(config, 1);
  const externals = createExternals(gpu, "curvature", classifier, options.normalisation);
  const gradients = {
    backbone: new FlatVector(gpu, "gradient", layouts.backbone),
    head: new FlatVector(gpu, "gradient", layouts.head),
  };
  const sum = new FlatVector(gpu, "squares", layouts.backbone);
  const program = await compile(gpu, lowerGradient(gpu, classifier), {
    label: "curvature",
    vectors,
    gradients,
    externals,
  });
  try {
    const launches = [...program.launches, ...await accumulateLaunches(gpu, gradients.backbone, sum)];
    for await (const { images, labels, start } of evaluationBatches(set, 1)) {
      gpu.writeBytes(externals.get(classifier.images)!, images);
      gpu.device.queue.writeBuffer(externals.get(classifier.labels)!, 0, labels);
      submitLaunches(gpu, "curvature", launches);
      if ((start + 1) % AHEAD !== 0) continue;
      await gpu.finish();
      options.onProgress?.(start + 1);
    }
    return await sum.read();
  } finally {
    program.destroy();
    externals.forEach((buffer) => gpu.destroyBuffer(buffer));
    [gradients.backbone, gradients.head, sum].forEach((vector) => vector.destroy());
  }
}

/** The launches of the backbone's gradient, in evaluation mode. */
function lowerGradient(gpu: Gpu, { graph }: Classifier): Dispatch[] {
  const target = targetOf(gpu, { training: false });
  return [...lowerForward(graph, target), ...lowerBackward(graph, target, ({ vector }) => vector === "backbone")];
}

function accumulateLaunches(gpu: Gpu, gradient: FlatVector, sum: FlatVector): Promise<Launch[]> {
  return Promise.all(
    segmentsOf(gradient.layout, 1, gpu.maxBindingBytes).map((segment, index) => {
      const { constants, groups } = shapeLoop({ count: segment.length / 4, width: 4 });
      const source = elementwiseSource + accumulateSquaresSource;
      const kernel = { label: `accumulate squares ${index}`, source, constants, groups };
      return prepareLaunch(gpu, kernel, [gradient.segment(segment), sum.segment(segment)]);
    }),
  );
}
