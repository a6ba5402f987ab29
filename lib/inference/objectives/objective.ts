/**
 * What a self-supervised objective is: layers above the backbone, a loss, and what it remembers between steps.
 *
 * @module
 */

import { UsageError } from "../../errors.ts";
import type { Graph } from "../../graph/graph.ts";
import type { GatherTables } from "../../ops/gather.ts";
import type { Tensor } from "../../ops/operation.ts";

/** Sizes and constants of an objective, by name. */
export type ObjectiveSettings = Readonly<Record<string, number>>;

/** A number that changes from step to step, of a run of `steps`. */
export type StepValue = (step: number, steps: number) => number;

/** Where an objective is built. */
export interface ObjectiveContext<S extends ObjectiveSettings = ObjectiveSettings> {
  readonly graph: Graph;
  /** Examples of a step. Rows are ordered view by view: view v of example i is row v * batchSize + i. */
  readonly batchSize: number;
  /** Steps of a pass over the images. */
  readonly stepsPerEpoch: number;
  /** Views of an example; the first {@linkcode largeViews} are large. */
  readonly views: number;
  readonly largeViews: number;
  readonly settings: S;
  /** A number [1] that the host writes before each step. */
  scalar(name: string, at: StepValue): Tensor;
  /** A random order of the examples of a step, another one for each name: tables for `gather`. */
  order(name: string): GatherTables<Tensor>;
  /**
   * Where each example of a step stood in the pass before, [batchSize]: step of the pass * batchSize + row, or
   * stepsPerEpoch * batchSize where it did not.
   */
  placesBefore(): Tensor;
  /** The class of each row, [views * batchSize], as the set counts them. Views of an example are of its class. */
  labels(): Tensor;
  /** Numbers that never change. */
  constant(name: string, shape: readonly number[], values: Float32Array<ArrayBuffer>): Tensor;
  /** Numbers that outlive a step, normal ones of unit rows or zeros at first; part of a checkpoint. */
  memory(name: string, shape: readonly number[], initial: "zeros" | "unit rows"): Tensor;
}

/** What becomes of a memory after the step. */
export type MemoryUpdate =
  /** Rows of `from` replace the oldest rows. */
  | { readonly kind: "ring"; readonly memory: Tensor; readonly from: Tensor }
  /** memory = keep * memory + (1 - keep) * from. */
  | { readonly kind: "average"; readonly memory: Tensor; readonly from: Tensor; readonly keep: number };

/** Memories that are made anew by k-means on the sphere, each time that the rows of a ring have all been replaced. */
export interface Clustering {
  /** A ring [N, D] of unit rows. */
  readonly rows: Tensor;
  /** Centres [K, D], of unit length. */
  readonly prototypes: Tensor;
  /** Cluster of each row, from 1 on, in front of whatever else it holds. */
  readonly labels: Tensor;
  readonly iterations: number;
}

/** What an objective adds to a graph. */
export interface ObjectiveGraph {
  /** [1]. */
  readonly loss: Tensor;
  readonly updates?: readonly MemoryUpdate[];
  /** Behind the updates. */
  readonly clusterings?: readonly Clustering[];
}

/** An objective of self-supervised learning. */
export interface Objective<S extends ObjectiveSettings = ObjectiveSettings> {
  /** As the original system names it. */
  readonly name: string;
  /** Sizes and constants, which a caller may override. */
  readonly defaults: S;
  /** Whether it learns from the classes of the examples: then all of them must have one. */
  readonly needsLabels?: (settings: S) => boolean;
  /** Small views are welcome beside the two large ones. */
  readonly multiCrop?: boolean;
  /**
   * Appends projector and loss.
   *
   * @param features [views * batchSize, F]
   * @param targets what the momentum network made of the large views, where there is one
   */
  build(context: ObjectiveContext<S>, features: Tensor, targets?: Tensor): ObjectiveGraph;
  /** The momentum network: its weights follow the trained ones. */
  readonly momentum?: {
    /** Share of its weights that stays. */
    readonly keep: (settings: S) => StepValue;
    /** Appends its layers, named and shaped as those that are trained. The result is what `build` gets. */
    build(context: ObjectiveContext<S>, features: Tensor): Tensor;
  };
}

/**
 * Refuses a setting that is no whole number from `least` on.
 *
 * @throws UsageError
 */
export function requireWhole(objective: string, settings: ObjectiveSettings, key: string, least = 1): void {
  if (Number.isInteger(settings[key]) && settings[key] >= least) return;
  throw new UsageError(
    `Cannot learn by the objective ${objective}: ${key} is ${settings[key]}, but a whole number from ${least} on is ` +
      "required",
  );
}

/**
 * Refuses settings that are not positive, as a temperature that something is divided by.
 *
 * @throws UsageError
 */
export function requirePositive(objective: string, settings: ObjectiveSettings, keys: readonly string[]): void {
  const wrong = keys.find((key) => !(settings[key] > 0 && settings[key] < Infinity));
  if (wrong === undefined) return;
  throw new UsageError(
    `Cannot learn by the objective ${objective}: ${wrong} is ${
      settings[wrong]
    }, but a finite number above 0 is required`,
  );
}

/**
 * Refuses a batch of one example for an objective that compares examples of a batch: its loss would be constant.
 *
 * @throws UsageError
 */
export function requireSeveral(objective: string, batchSize: number): void {
  if (batchSize >= 2) return;
  throw new UsageError(
    `Cannot learn by the objective ${objective} from a batch of ${batchSize}: it compares the examples of a batch, and at ` +
      "least 2 are required",
  );
}

/** The share of a momentum network's weights that stays: settings of an objective that has one. */
export type MomentumSettings = { baseMomentum: number; finalMomentum: number };

/** The original system's shares. */
export const MOMENTUM: MomentumSettings = { baseMomentum: 0.99, finalMomentum: 1 };

/**
 * The schedule of the shares.
 *
 * @throws UsageError where one is not from 0 to 1
 */
export function keepOf(objective: string, settings: MomentumSettings): StepValue {
  for (const key of ["baseMomentum", "finalMomentum"] as const) {
    if (settings[key] >= 0 && settings[key] <= 1) continue;
    throw new UsageError(
      `Cannot learn by the objective ${objective}: ${key} is ${settings[key]}, but a number from 0 to 1 is required`,
    );
  }
  return cosineTo(settings.baseMomentum, settings.finalMomentum);
}

/** tau of the original: from `base` to `final` by half a cosine. */
export function cosineTo(base: number, final: number): StepValue {
  return (step, steps) => final - (final - base) * (Math.cos(Math.PI * step / steps) + 1) / 2;
}
