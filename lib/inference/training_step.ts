/**
 * A step of training as a program, and the memory that it takes.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { lowerBackward, lowerForward } from "../graph/graph.ts";
import { packActivations } from "../graph/precision.ts";
import { planProgram } from "../graph/program.ts";
import { lowerRecomputing } from "../graph/recompute.ts";
import type { VectorLayout } from "../graph/vector.ts";
import { buildClassifier, type Classifier, type ClassifierConfig } from "../models/classifier.ts";
import { layoutModel } from "../models/device_model.ts";
import { externalSizes } from "../models/externals.ts";
import { type Dispatch, targetOf } from "../ops/operation.ts";
import { estimateCoordinates } from "./head_coordinates.ts";
import { SAMPLERS } from "./samplers.ts";
import type { TrainingOptions } from "./training.ts";

/** Device memory that a run needs, in bytes. */
export interface MemoryEstimate {
  readonly parameters: number;
  readonly gradients: number;
  readonly samplerState: number;
  readonly prior: number;
  /** Of the step, with the batch that it begins with. */
  readonly activations: number;
  /** Least that any plan of the activations needs. */
  readonly activationsLowerBound: number;
  /** Of what measures features along the way, where anything does. */
  readonly evaluation?: number;
  readonly total: number;
}

/** The classifier of a run's step. */
export function buildStep(config: ClassifierConfig, options: TrainingOptions): Classifier {
  return buildClassifier(config, options.batchSize, { ...options, scaledLoss: options.precision === "mixed" });
}

/** The launches of a step up to its gradients. */
export function lowerStep(
  gpu: Gpu,
  { graph, totals }: Classifier,
  { recompute, precision }: TrainingOptions,
): Dispatch[] {
  const target = targetOf(gpu, { training: true });
  const dispatches = recompute
    ? lowerRecomputing(graph, target)
    : [...lowerForward(graph, target), ...lowerBackward(graph, target)];
  return precision === "mixed" ? packActivations(graph, dispatches, [totals]) : dispatches;
}

function estimateHeadPrior(gpu: Gpu, layout: VectorLayout, { headVariance, headPrior }: TrainingOptions): number {
  if (headVariance === undefined && headPrior === undefined) return 0;
  const coordinates = headPrior?.axes ? estimateCoordinates(gpu, layout, headPrior.axes) : 0;
  return 8 * layout.paddedCount + coordinates;
}

/** What a run would allocate; allocates nothing. */
export function estimateMemory(gpu: Gpu, config: ClassifierConfig, options: TrainingOptions): MemoryEstimate {
  const layouts = layoutModel(config, gpu.maxBindingBytes);
  const classifier = buildStep(config, options);
  const plan = planProgram(gpu, lowerStep(gpu, classifier, options), [classifier.totals]);
  const trainable = 4 * (layouts.backbone.paddedCount + layouts.head.paddedCount);
  const batch = externalSizes(classifier).values().reduce((sum, bytes) => sum + bytes, 0);
  const rows = options.prior ? 2 + options.prior.rows.length : 0;
  const parts = {
    parameters: trainable + 4 * layouts.state.paddedCount,
    gradients: trainable,
    samplerState: SAMPLERS[options.settings.sampler].stateful ? trainable : 0,
    prior: 4 * layouts.backbone.paddedCount * rows + estimateHeadPrior(gpu, layouts.head, options),
    activations: plan.bytes + batch,
  };
  const total = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  return { ...parts, activationsLowerBound: plan.lowerBound + batch, total };
}
