/**
 * Earlier projections that stand for present ones: what NNCLR and its relatives share.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { nearestRows } from "../../ops/nearest_rows.ts";
import type { Tensor } from "../../ops/operation.ts";
import { Algebra } from "./algebra.ts";
import { type MemoryUpdate, type ObjectiveContext, requireWhole } from "./objective.ts";

/**
 * For each row the most similar one of the queue, of which nothing flows back.
 *
 * @param z [N, D]
 * @param queue [Q, D], of unit length
 * @returns [N, D]
 */
export function nearestIn(graph: Graph, z: Tensor, queue: Tensor): Tensor {
  const algebra = new Algebra(graph);
  const similarities = algebra.products("similarities to the queue", algebra.fixed("queries", z), queue);
  return graph.apply(nearestRows("neighbours", similarities, queue));
}

/** The nearest earlier projections of z, and the update that remembers z itself, of unit length. */
export function neighbourhood(
  { graph, memory, settings }: ObjectiveContext<{ projOut: number; queueSize: number }>,
  z: Tensor,
): { neighbours: Tensor; update: MemoryUpdate } {
  const algebra = new Algebra(graph);
  requireWhole("of nearest neighbours", settings, "queueSize");
  const queue = memory("queue", [settings.queueSize, settings.projOut], "unit rows");
  const from = algebra.fixed("remembered", algebra.normalise("unit projections", z));
  return { neighbours: nearestIn(graph, z, queue), update: { kind: "ring", memory: queue, from } };
}
