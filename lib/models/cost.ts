/**
 * What a classifier costs: arithmetic and memory of a batch, from the launches and the memory plan. Needs no device.
 *
 * @module
 */

import { type Graph, lowerBackward, lowerForward } from "../graph/graph.ts";
import { planMemory } from "../graph/plan.ts";
import { TILES } from "../ops/gemm_tile.ts";
import type { Dispatch, Target, Tensor } from "../ops/operation.ts";
import { buildClassifier, type ClassifierConfig } from "./classifier.ts";

/** The cost of one batch. */
export interface ClassifierCost {
  /** Additions and multiplications of the matrix products and convolutions of a forward pass. */
  readonly forwardFlops: number;
  /** Those of a training step, forwards and backwards. */
  readonly trainingFlops: number;
  /** Bytes of the activations and other scratch memory of an evaluation, as planned for a GPU. */
  readonly evaluationBytes: number;
  /** Those of a training step. */
  readonly trainingBytes: number;
}

function flopsOf(dispatches: readonly Dispatch[]): number {
  return dispatches.reduce((sum, { flops = 0 }) => sum + flops, 0);
}

/** The launches of a schedule for GPUs without subgroups. */
function lowered(graph: Graph, training: boolean): Dispatch[] {
  const target: Target = { schedule: "gpu", subgroupSize: 0, tiles: TILES, training };
  return [...lowerForward(graph, target), ...training ? lowerBackward(graph, target) : []];
}

/** What a batch costs. */
export function classifierCost(config: ClassifierConfig, batchSize: number): ClassifierCost {
  const { graph, logits, totals } = buildClassifier(config, batchSize);
  const evaluation = lowered(graph, false), training = lowered(graph, true);
  const bytesOf = (dispatches: readonly Dispatch[], kept: Tensor) =>
    planMemory(dispatches, new Set([kept]), Infinity).slabs.reduce((sum, bytes) => sum + bytes, 0);
  return {
    forwardFlops: flopsOf(evaluation),
    trainingFlops: flopsOf(training),
    evaluationBytes: bytesOf(evaluation, logits),
    trainingBytes: bytesOf(training, totals),
  };
}
