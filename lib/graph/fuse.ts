/**
 * Joining operations: a tensor that a single operation reads need not pass through memory where one kernel can do the
 * work of its producer and of its reader. And what a producer knows of its output need not be worked out from memory.
 *
 * @module
 */

import type { Operation, Tensor } from "../ops/operation.ts";
import { Graph } from "./graph.ts";

/** How many operations read each tensor, with those that must be kept counted once more. */
function readersOf(operations: readonly Operation[], keep: readonly Tensor[]): ReadonlyMap<Tensor, number> {
  const readers = new Map<Tensor, number>();
  for (const tensor of [...operations.flatMap(({ inputs }) => inputs), ...keep]) {
    readers.set(tensor, (readers.get(tensor) ?? 0) + 1);
  }
  return readers;
}

/** The same operations; those that take moments of an input get them from its producer, where it can leave them. */
function shareMoments(operations: readonly Operation[]): Operation[] {
  const shared = new Map(operations.map((operation) => [operation.output, operation]));
  for (const operation of operations) {
    for (const input of operation.inputs) {
      const source = operation.takeMoments && shared.get(input)?.leaveMoments?.();
      const taking = source && operation.takeMoments?.(source);
      if (source === undefined || taking === undefined) continue;
      shared.set(input, source).set(operation.output, taking);
    }
  }
  return [...shared.values()];
}

/**
 * The same graph with operations joined where {@linkcode Operation.fuse} allows it. Outputs keep their tensors; those
 * between joined operations are no more. Operations share moments where one can leave them and another takes them.
 *
 * @param keep tensors that the host reads
 */
export function fuse(graph: Graph, keep: readonly Tensor[] = []): Graph {
  const readers = readersOf(graph.operations, keep);
  // By output and in order: a joined operation runs when its last input is there.
  const fused = new Map<Tensor, Operation>();
  for (const operation of graph.operations) {
    let joined = operation;
    for (const input of operation.inputs) {
      const both = readers.get(input) === 1 ? fused.get(input)?.fuse?.(joined) : undefined;
      if (both === undefined) continue;
      fused.delete(input);
      joined = both;
      break;
    }
    fused.set(joined.output, joined);
  }
  return new Graph(shareMoments([...fused.values()]), graph.parameters);
}
