/**
 * Gradient checkpointing (Chen et al., arXiv 1604.06174): only the activations at the ends of segments stay in memory
 * from the forward pass to the backward pass; those within a segment are computed again, bit for bit, just before the
 * segment's backward pass. One more forward pass buys memory that grows with the root of the depth.
 *
 * Only the launches that bind an operation's output, or say that they may, run again. So BatchNorm keeps the statistics of the first time, and
 * its running statistics move once.
 *
 * @module
 */

import type { Dispatch, Operation, Target, Tensor } from "../ops/operation.ts";
import { scratch, storageOf, view } from "../ops/operation.ts";
import { sizeOf } from "../tensor.ts";
import { type Graph, lowerBackwardSteps, lowerForward, lowerOperation } from "./graph.ts";

/** Consecutive operations of which only the last one's output is used later. */
type Segment = readonly Operation[];

function bytesOf(operations: readonly Operation[]): number {
  return operations.reduce((sum, { output }) => sum + (output.viewOf ? 0 : 4 * sizeOf(output.shape)), 0);
}

/** The finest segments: a cut after each operation whose output is all that later operations need. */
function finestSegments(operations: readonly Operation[]): Segment[] {
  const lastUse = new Map<Tensor, number>();
  operations.forEach(({ inputs }, index) => inputs.forEach((input) => lastUse.set(storageOf(input), index)));
  const segments: Segment[] = [];
  let start = 0, reach = -1;
  operations.forEach(({ output }, index) => {
    if (reach <= index) {
      segments.push(operations.slice(start, index + 1));
      start = index + 1;
    }
    reach = Math.max(reach, lastUse.get(storageOf(output)) ?? index);
  });
  return segments;
}

/** Neighbours joined as long as a segment holds no more than `limit` bytes. */
function joinUpTo(segments: readonly Segment[], limit: number): Segment[] {
  const joined: Operation[][] = [];
  for (const segment of segments) {
    const last = joined.at(-1);
    if (last !== undefined && bytesOf(last) + bytesOf(segment) <= limit) last.push(...segment);
    else joined.push([...segment]);
  }
  return joined;
}

/** Bytes alive at the worst moment: what is kept at the cuts, and the largest segment while it is computed again. */
function peakOf(segments: readonly Segment[]): number {
  const kept = segments.reduce((sum, segment) => sum + bytesOf(segment.slice(-1)), 0);
  return kept + Math.max(...segments.map(bytesOf));
}

/** The segments that need the least memory, among those that a limit on their size gives. */
function chooseSegments(operations: readonly Operation[]): Segment[] {
  const finest = finestSegments(operations);
  const limits = finest.flatMap((_, first) =>
    finest.slice(first).map((_, i) => bytesOf(finest.slice(first, first + i + 1).flat()))
  );
  return [...new Set(limits)].map((limit) => joinUpTo(finest, limit))
    .reduce((best, segments) => (peakOf(segments) < peakOf(best) ? segments : best), finest);
}

/** The launches of `segment` that make what its backward pass reads, with new tensors for what they make. */
function computeAgain(
  segment: Segment,
  target: Target,
  backward: readonly Dispatch[],
): { readonly dispatches: readonly Dispatch[]; readonly copies: ReadonlyMap<Tensor, Tensor> } {
  const inner = new Set(segment.map(({ output }) => storageOf(output)));
  inner.delete(storageOf(segment[segment.length - 1].output));
  const readBy = (dispatches: readonly Dispatch[]) =>
    dispatches.flatMap(({ bindings }) => bindings.map(storageOf)).filter((tensor) => inner.has(tensor));
  const needed = new Set(readBy(backward));
  const copies = new Map<Tensor, Tensor>();
  const dispatches: Dispatch[] = [];
  for (const operation of segment.toReversed()) {
    const { output } = operation;
    if (!needed.has(output) || output.viewOf) continue;
    copies.set(output, { ...scratch(`${output.name} again`, output.shape), activation: output });
    const launches = lowerOperation(operation, { ...target, again: true }).filter(({ again, bindings }) =>
      again || bindings.map(storageOf).includes(output)
    );
    readBy(launches).forEach((tensor) => needed.add(tensor));
    dispatches.unshift(...launches);
  }
  return { dispatches: dispatches.map((dispatch) => rebind(dispatch, copies)), copies };
}

/** The launch with other tensors in place of some. */
export function rebind(dispatch: Dispatch, copies: ReadonlyMap<Tensor, Tensor>): Dispatch {
  const bindings = dispatch.bindings.map((tensor) => {
    const copy = copies.get(storageOf(tensor));
    return copy === undefined ? tensor : view(copy, tensor.shape);
  });
  return { ...dispatch, bindings };
}

/** Launches of the forward and backward pass of a graph with checkpointed activations; see `lowerBackward`. */
export function lowerRecomputing(graph: Graph, target: Target): Dispatch[] {
  const steps = new Map(lowerBackwardSteps(graph, target).map(({ operation, dispatches }) => [operation, dispatches]));
  const segments = chooseSegments(graph.operations);
  const backwardOf = (segment: Segment) => segment.toReversed().flatMap((operation) => steps.get(operation) ?? []);
  // The last segment's activations are still there when the backward pass begins.
  const [last, ...others] = segments.toReversed();
  return [
    ...lowerForward(graph, target),
    ...backwardOf(last),
    ...others.flatMap((segment) => {
      const backward = backwardOf(segment);
      const { dispatches, copies } = computeAgain(segment, target, backward);
      return [...dispatches, ...backward.map((dispatch) => rebind(dispatch, copies))];
    }),
  ];
}
