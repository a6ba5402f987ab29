/**
 * What `prior` says of a plan and of a prior that it learned.
 *
 * @module
 */

import type { LastLayerLaplace } from "../../lib/inference/last_layer.ts";
import type { LearnedPrior } from "../../lib/inference/learn_prior.ts";
import type { MergedPrior } from "../../lib/inference/multi_swag.ts";
import type { MemoryEstimate } from "../../lib/inference/training_step.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { estimateSubspace } from "../../lib/priors/subspace/collector.ts";
import type { Io } from "../cli/output.ts";
import { memoryLines } from "./memory.ts";
import type { Flags } from "./prior.ts";
import type { PriorEvaluation, PriorMetrics } from "./prior_learning.ts";
import { targets } from "./prior_output.ts";

/** What was learned, and what the training reported. */
export interface Outcome {
  /** The prior. */
  readonly learned: LearnedPrior | MergedPrior;
  readonly steps: number;
  readonly imagesPerSecond?: number;
  readonly last?: PriorMetrics;
  readonly evaluations: readonly PriorEvaluation[];
  /** The last layer's posterior, where there is one. */
  readonly head?: LastLayerLaplace;
}

/** Prints what the learning from snapshots would allocate. */
export function reportMemory(flags: Flags, classifier: ClassifierConfig, memory: MemoryEstimate, io: Io): void {
  const swag = estimateSubspace(layoutModel(classifier).backbone, flags);
  const whole = { ...memory, swag, total: memory.total + swag };
  io.result({ out: null, ...whole }, memoryLines(whole));
}

/** What was measured, in JSON; of which chain, where there are several. */
function measuresOf({ chain, ...measures }: PriorEvaluation, { chains }: Flags): Record<string, unknown> {
  return { ...chains > 1 && { chain }, ...measures };
}

/** How good the features were, in words; of which chain, where there are several. */
export function evaluationLine(
  { chain, steps, knn, linear, online, momentum }: PriorEvaluation,
  { chains }: Pick<Flags, "chains">,
): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const trained = online === undefined ? "" : `, ${percent(online)} online`;
  const followed = momentum === undefined ? "" : `, ${percent(momentum)} by the momentum network`;
  const measures = `${percent(knn)} by nearest neighbours, ${percent(linear)} linear${trained}${followed}`;
  return `${chains > 1 ? `chain ${chain}, ` : ""}after ${steps} steps: ${measures}`;
}

/** Prints what was learned. */
export function reportPrior(flags: Flags, outcome: Outcome, seconds: number, io: Io): void {
  const { learned, steps, imagesPerSecond, last, evaluations, head } = outcome;
  const { swag, snapshots } = learned;
  const merged = "kept" in learned ? { kept: learned.kept, dropped: learned.dropped } : undefined;
  const result = {
    out: flags.out,
    steps,
    seconds,
    imagesPerSecond,
    loss: last?.loss,
    accuracy: last?.accuracy,
    ...evaluations.length > 0 && { evaluations: evaluations.map((evaluation) => measuresOf(evaluation, flags)) },
    snapshots,
    rank: swag.covFactor.length,
    ...merged,
    ...head && { head: { laplace: flags.headLaplace, precision: head.precision, logEvidence: head.logEvidence } },
    parameters: swag.mean.length,
  };
  const source = {
    "swag": `${snapshots} snapshots`,
    "laplace": "the curvature (laplace)",
    "fisher": "the curvature (fisher)",
    "last-layer": "the checkpoint alone",
  }[flags.method];
  io.result(result, [
    `prior over ${result.parameters} parameters, rank ${result.rank}, from ${source}: ${targets(flags).join(" ")}`,
    ...merged === undefined ? [] : [
      `${flags.chains} chains merged: the factor keeps ${
        (100 * merged.kept).toFixed(2)
      } % of their low-rank variance; ` +
      `the largest direction that it lacks has variance ${merged.dropped.toExponential(2)}`,
    ],
    ...head === undefined
      ? []
      : [`head: ${flags.headLaplace} curvature, precision ${head.precision.toPrecision(4)} before the source task`],
    ...evaluations.map((evaluation) => evaluationLine(evaluation, flags)),
    ...last === undefined ? [] : [`last loss ${last.loss.toFixed(4)}, ${steps} steps in ${seconds.toFixed(1)} s`],
  ]);
}
