/**
 * SwAV (Caron et al., arXiv 2006.09882): the prototypes that a view is nearest to shall be those to which the other was
 * assigned, when the batch is spread evenly over all of them.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows } from "../../ops/cross_entropy_rows.ts";
import { concat } from "../../ops/movement.ts";
import type { Tensor } from "../../ops/operation.ts";
import { reduceSum } from "../../ops/reduce.ts";
import { unary } from "../../ops/unary.ts";
import { Algebra } from "./algebra.ts";
import { frozenFirst, mlp, prototypes } from "./layers.ts";
import {
  type MemoryUpdate,
  type Objective,
  type ObjectiveContext,
  requirePositive,
  requireSeveral,
  requireWhole,
} from "./objective.ts";

/** Constants of the loss. */
export type SwavOptions = { readonly temperature: number; readonly epsilon: number; readonly iterations: number };

/** Earlier projections that a small batch is spread over the prototypes with. */
export interface SwavQueue {
  /** For each large view [Q, K]: cosines of its earlier projections with the prototypes. */
  readonly logits: readonly Tensor[];
  /** [1]: 1 where they count, 0 where they do not yet. */
  readonly gate: Tensor;
}

/** Least sum of a row: above 0, so that rows that do not count stay 0. */
const LEAST_SUM = 1e-30;

/**
 * Assignments of rows to prototypes by Sinkhorn and Knopp: exp(logits / epsilon), columns and rows scaled in turn.
 *
 * @param earlier rows that are assigned as well where `gate` is 1, and not returned
 */
function assignments(
  algebra: Algebra,
  name: string,
  logits: Tensor,
  { epsilon, iterations }: Omit<SwavOptions, "temperature">,
  earlier?: { readonly logits: Tensor; readonly gate: Tensor },
): Tensor {
  const { graph } = algebra;
  const exponentials = (of: string, x: Tensor) => {
    const fixed = algebra.affine(`${of} sharpened`, algebra.fixed(`${of} fixed`, x), 1 / epsilon);
    return graph.apply(unary(`${of} exponentials`, fixed, { kind: "exp" }));
  };
  let q = exponentials(name, logits);
  if (earlier !== undefined) {
    const gated = algebra.combine(`${name} gated`, "mul", exponentials(`${name} queue`, earlier.logits), earlier.gate);
    q = graph.apply(concat(`${name} with the queue`, [q, gated], 0));
  }
  for (let round = 0; round < iterations; round++) {
    for (const axis of [0, 1]) {
      const part = `${name} ${round} ${axis === 0 ? "columns" : "rows"}`;
      let sums = graph.apply(reduceSum(`${part} sums`, q, [axis]));
      if (earlier && axis === 1) sums = graph.apply(unary(`${part} positive`, sums, { kind: "clip", min: LEAST_SUM }));
      q = algebra.combine(part, "div", q, sums);
    }
  }
  return earlier === undefined ? q : algebra.rows(`${name} of the batch`, q, 0, logits.shape[0]);
}

/**
 * The mean over large views i and the other views v of the cross-entropy of softmax(logits_v / temperature) against the
 * assignments of i.
 *
 * @param logits [views * B, K]: cosines with the prototypes, view by view
 * @param views how many there are, and how many of them, the first ones, have assignments
 * @param queue projections that are assigned with those of the batch
 * @returns [1], in nats
 */
export function swavLoss(
  graph: Graph,
  logits: Tensor,
  views: { readonly count: number; readonly large: number },
  options: SwavOptions,
  queue?: SwavQueue,
): Tensor {
  const algebra = new Algebra(graph), batch = logits.shape[0] / views.count;
  const parts = Array.from(
    { length: views.count },
    (_, view) => algebra.rows(`logits of view ${view}`, logits, view * batch, (view + 1) * batch),
  );
  const losses: Tensor[] = [];
  for (let large = 0; large < views.large; large++) {
    const earlier = queue && { logits: queue.logits[large], gate: queue.gate };
    const targets = assignments(algebra, `assignments of view ${large}`, parts[large], options, earlier);
    parts.forEach((part, view) => {
      if (view === large) return;
      const name = (what: string) => `${what} of view ${view} against ${large}`;
      const sharpened = algebra.affine(name("sharpened"), part, 1 / options.temperature);
      const rows = graph.apply(crossEntropyRows(name("losses"), sharpened, { kind: "soft", targets }));
      losses.push(algebra.mean(name("mean loss"), rows));
    });
  }
  const sum = losses.reduce((total, loss, index) => algebra.combine(`sum ${index}`, "add", total, loss));
  return algebra.affine("mean of pairs", sum, 1 / losses.length);
}

type Settings = {
  projHidden: number;
  projOut: number;
  prototypes: number;
  temperature: number;
  epsilon: number;
  iterations: number;
  queueSize: number;
  queueStart: number;
  freezeEpochs: number;
};

/** What the queues of the large views remember, and how they go on. */
function queues(
  { graph, settings, stepsPerEpoch, largeViews, batchSize, memory, scalar }: ObjectiveContext<Settings>,
  z: Tensor,
  prototypes: Tensor,
): { queue: SwavQueue; updates: MemoryUpdate[] } {
  const { queueSize, queueStart, projOut } = settings, algebra = new Algebra(graph);
  const memories = Array.from(
    { length: largeViews },
    (_, view) => memory(`queue${view}`, [queueSize, projOut], "unit rows"),
  );
  return {
    queue: {
      logits: memories.map((earlier, view) => algebra.products(`cosines of queue ${view}`, earlier, prototypes)),
      gate: scalar("queue gate", (step) => step >= queueStart * stepsPerEpoch ? 1 : 0),
    },
    updates: memories.map((memory, view) => ({
      kind: "ring",
      memory,
      from: algebra.fixed(
        `remembered of view ${view}`,
        algebra.rows(`projections of view ${view}`, z, view * batchSize, (view + 1) * batchSize),
      ),
    })),
  };
}

/**
 * SwAV with the original system's sizes. `queueSize` projections of each large view are assigned with those of the batch
 * from epoch `queueStart` on, counted from 0; a size of 0 is no queue. Prototypes do not move in the first `freezeEpochs`.
 */
export const swav: Objective<Settings> = {
  name: "swav",
  defaults: {
    projHidden: 2048,
    projOut: 128,
    prototypes: 3000,
    temperature: 0.1,
    epsilon: 0.05,
    iterations: 3,
    queueSize: 3840,
    queueStart: 15,
    freezeEpochs: 1,
  },
  multiCrop: true,
  build(context, features) {
    const { graph, settings, views, largeViews } = context;
    for (const key of ["queueSize", "queueStart", "freezeEpochs"]) requireWhole("swav", settings, key, 0);
    requirePositive("swav", settings, ["temperature", "epsilon"]);
    // Alone, an example is assigned to all prototypes alike.
    if (settings.queueSize === 0 || settings.queueStart > 0) requireSeveral("swav", context.batchSize);
    const layers = [{ width: settings.projHidden, norm: true, activation: "relu" }, {
      width: settings.projOut,
    }] as const;
    const algebra = new Algebra(graph);
    const z = algebra.normalise("unit projections", mlp(context, "projector", features, layers));
    const moving = prototypes(graph, "prototypes", settings.prototypes, settings.projOut);
    const centres = frozenFirst(context, moving, settings.freezeEpochs);
    const { queue, updates } = settings.queueSize === 0
      ? { queue: undefined, updates: [] }
      : queues(context, z, centres);
    const logits = algebra.products("cosines", z, centres);
    return { loss: swavLoss(graph, logits, { count: views, large: largeViews }, settings, queue), updates };
  },
};
