/**
 * A prior from the curvature of the source task's loss at the checkpoint: `prior --method laplace|fisher`.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import { fisherDiagonal } from "../../lib/inference/fisher.ts";
import type { LearnedPrior } from "../../lib/inference/learn_prior.ts";
import { curvaturePrior } from "../../lib/priors/curvature.ts";
import type { FlagTable } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import type { Flags } from "./prior.ts";
import type { PriorTask } from "./prior_learning.ts";
import { normalisationOf } from "./treatment.ts";

/** How a prior is learned, and the flags of the ways that do not train. */
export const METHOD_FLAGS = {
  method: {
    type: "choice",
    choices: ["swag", "laplace", "fisher"],
    default: "swag",
    group: "Method",
    help: "snapshots of SGD, or the Fisher information's diagonal by labels predicted (laplace) or given (fisher: EWC)",
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

/** The prior whose mean are the checkpoint's weights; its network is the checkpoint's, statistics included. */
export async function learnCurvature(
  gpu: Gpu,
  flags: Flags,
  { classifier, weights, train, data }: PriorTask,
  io: Io,
): Promise<LearnedPrior> {
  const numData = train.labels.length;
  const examples = flags.fisherExamples ?? numData;
  const progress = io.progress("curvature", examples);
  const fisher = await fisherDiagonal(gpu, {
    model: classifier,
    weights,
    train,
    normalisation: normalisationOf(data),
    labels: flags.method === "laplace" ? "model" : "data",
    examples,
    batchSize: flags.batchSize,
    seed: flags.seed,
    onProgress: (done) => progress.update({ step: done }),
  });
  progress.finish();
  const precision = flags.sourcePrecision ?? flags.weightDecay * numData;
  return { swag: curvaturePrior(weights.backbone, fisher, { numData, precision }), weights, snapshots: 0 };
}
