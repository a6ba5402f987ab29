/**
 * A prior from the curvature of the source task's loss at the checkpoint: `prior --method laplace|fisher`.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import { estimateFisher, fisherDiagonal, type FisherLabels } from "../../lib/inference/fisher.ts";
import type { LearnedPrior } from "../../lib/inference/learn_prior.ts";
import { curvaturePrior } from "../../lib/priors/curvature.ts";
import type { FlagTable } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { mebibytes } from "./memory.ts";
import type { Flags } from "./prior.ts";
import type { PriorTask } from "./prior_learning.ts";
import { normalisationOf } from "./treatment.ts";

/** How a prior is learned, and the flags of the ways that do not train. */
export const METHOD_FLAGS = {
  method: {
    type: "choice",
    choices: ["swag", "laplace", "fisher", "last-layer"],
    default: "swag",
    group: "Method",
    help:
      "snapshots of SGD; the Fisher information's diagonal by labels drawn from the network's predictions (laplace) or " +
      "given (fisher: EWC); or nothing of the backbone, whose variance is --prior-eps alone, for --head-laplace",
  },
  fisherExamples: {
    type: "integer",
    min: 1,
    group: "Method",
    help: "training images that the curvature is measured on, one at a time; all unless given",
  },
  sourcePrecision: {
    type: "number",
    min: 0,
    group: "Method",
    help: "laplace, fisher: precision of a weight before the source task; --weight-decay times images unless given",
  },
} as const satisfies FlagTable;

/** Whose labels the gradients are of. */
function labelsOf({ method }: Flags): FisherLabels {
  return method === "laplace" ? "model" : "data";
}

/** Images that the curvature is measured on. */
export function examplesOf({ fisherExamples }: Flags, { train }: PriorTask): number {
  return fisherExamples ?? train.labels.length;
}

/** Precision of a weight before the source task. */
function precisionOf({ sourcePrecision, weightDecay }: Flags, { train }: PriorTask): number {
  return sourcePrecision ?? weightDecay * train.labels.length;
}

/** Whether the method measures the curvature by the backbone's weights. */
export function measuresCurvature({ method }: Flags): boolean {
  return method === "laplace" || method === "fisher";
}

/** Prints what {@linkcode learnCurvature} would do, and the memory that it would take where it measures. */
export function reportCurvaturePlan(gpu: Gpu, flags: Flags, task: PriorTask, io: Io): void {
  if (!measuresCurvature(flags)) {
    const parameters = task.weights.backbone.length;
    io.result({ out: null, method: flags.method, headLaplace: flags.headLaplace, parameters }, [
      `${flags.method}: the checkpoint's ${parameters} weights and a ${flags.headLaplace} posterior of its head; nothing ` +
      "is trained",
    ]);
    return;
  }
  const examples = examplesOf(flags, task), precision = precisionOf(flags, task), labels = labelsOf(flags);
  const memory = estimateFisher(gpu, { model: task.classifier, labels, examples, batchSize: flags.batchSize });
  io.result({ out: null, method: flags.method, examples, sourcePrecision: precision, ...memory }, [
    `${flags.method}: squared gradients at the checkpoint, of labels ${labels === "model" ? "predicted" : "given"}; ` +
    "nothing is trained",
    `images          ${examples} of ${task.train.labels.length}, one at a time`,
    `precision       ${precision.toPrecision(4)} of a weight before the source task`,
    ...(["parameters", "gradients", "squares", "activations", "total"] as const).map((part) =>
      `${part.padEnd(16)}${mebibytes(memory[part])}`
    ),
  ]);
}

/** The prior whose mean are the checkpoint's weights; its network is the checkpoint's, statistics included. */
export async function learnCurvature(
  gpu: Gpu,
  flags: Flags,
  task: PriorTask,
  io: Io,
): Promise<LearnedPrior> {
  const { classifier, weights, train, data } = task;
  if (!measuresCurvature(flags)) {
    const { backbone } = weights;
    return {
      swag: { mean: backbone, variance: new Float32Array(backbone.length), covFactor: [], kind: "point" },
      weights,
      snapshots: 0,
    };
  }
  const numData = train.labels.length, examples = examplesOf(flags, task);
  const progress = io.progress("curvature", examples);
  const fisher = await fisherDiagonal(gpu, {
    model: classifier,
    weights,
    train,
    normalisation: normalisationOf(data),
    labels: labelsOf(flags),
    examples,
    batchSize: flags.batchSize,
    seed: flags.seed,
    onProgress: (done) => progress.update({ step: done }),
  });
  progress.finish();
  const swag = curvaturePrior(weights.backbone, fisher, { numData, precision: precisionOf(flags, task) });
  return { swag, weights, snapshots: 0 };
}
