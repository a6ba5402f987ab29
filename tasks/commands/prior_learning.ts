/**
 * What learning a prior from snapshots is, whatever is learned from.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import type { FeatureEvaluation } from "../../lib/inference/features.ts";
import type { LearnedPrior, LearnPriorHooks, PriorCheckpoint } from "../../lib/inference/learn_prior.ts";
import type { Schedule } from "../../lib/inference/schedules.ts";
import type { MemoryEstimate } from "../../lib/inference/training_step.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import type { ModelLayouts } from "../../lib/models/device_model.ts";
import type { Weights } from "../../lib/models/weights.ts";
import type { DataFlags } from "./treatment.ts";

/** What a prior is learned from. */
export interface PriorTask {
  readonly train: ImageSource;
  /** Images that features are measured on, where they are. */
  readonly val?: ImageSource;
  /** Images whose labels are known then; those that are learned from unless given. */
  readonly bank?: ImageSource;
  /** How images are treated. */
  readonly data: DataFlags;
  readonly classifier: ClassifierConfig;
  /** Where learning starts. */
  readonly weights: Weights;
}

/** What a step says of itself. */
export interface PriorMetrics {
  readonly step: number;
  readonly loss: number;
  /** Of labels only. */
  readonly accuracy?: number;
}

/** How good the features of a chain were after so many of its steps. */
export interface PriorEvaluation extends FeatureEvaluation {
  /** Counted from 0. */
  readonly chain: number;
  readonly steps: number;
}

/** What the command does along the way. */
export interface PriorHooks extends Pick<LearnPriorHooks, "profiler" | "checkpointSteps" | "onCheckpoint"> {
  onMetrics(metrics: readonly PriorMetrics[]): void;
  onEvaluation(evaluation: Omit<PriorEvaluation, "chain">): void;
}

/** One way to learn a prior. */
export interface PriorLearning {
  /** Images of a step. */
  readonly batchSize: number;
  readonly schedule: Schedule;
  /** Of the weights in a checkpoint. */
  readonly layouts: ModelLayouts;
  /** What it would allocate, but for SWAG. */
  estimate(): MemoryEstimate;
  learn(hooks: PriorHooks, from?: PriorCheckpoint, chain?: number): Promise<LearnedPrior>;
}
