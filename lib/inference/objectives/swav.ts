/**
 * SwAV (Caron et al., arXiv 2006.09882): the prototypes that a view is nearest to shall be those to which the other was
 * assigned, when the batch is spread evenly over all of them.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows } from "../../ops/cross_entropy_rows.ts";
import type { Tensor } from "../../ops/operation.ts";
import { reduceSum } from "../../ops/reduce.ts";
import { unary } from "../../ops/unary.ts";
import { Algebra } from "./algebra.ts";
import { mlp, prototypes } from "./layers.ts";
import type { Objective } from "./objective.ts";

/** Constants of the loss. */
export type SwavOptions = { readonly temperature: number; readonly epsilon: number; readonly iterations: number };

/** Assignments of rows to prototypes by Sinkhorn and Knopp: exp(logits / epsilon), columns and rows scaled in turn. */
function assignments(
  algebra: Algebra,
  name: string,
  logits: Tensor,
  { epsilon, iterations }: Omit<SwavOptions, "temperature">,
): Tensor {
  const { graph } = algebra;
  const fixed = algebra.affine(`${name} sharpened`, algebra.fixed(`${name} fixed`, logits), 1 / epsilon);
  let q = graph.apply(unary(`${name} exponentials`, fixed, { kind: "exp" }));
  for (let round = 0; round < iterations; round++) {
    for (const axis of [0, 1]) {
      const part = `${name} ${round} ${axis === 0 ? "columns" : "rows"}`;
      q = algebra.combine(part, "div", q, graph.apply(reduceSum(`${part} sums`, q, [axis])));
    }
  }
  return q;
}

/**
 * The mean over large views i and the other views v of the cross-entropy of softmax(logits_v / temperature) against the
 * assignments of i.
 *
 * @param logits [views * B, K]: cosines with the prototypes, view by view
 * @param largeViews views, the first ones, that have assignments
 * @returns [1], in nats
 */
export function swavLoss(
  graph: Graph,
  logits: Tensor,
  views: { readonly count: number; readonly large: number },
  options: SwavOptions,
): Tensor {
  const algebra = new Algebra(graph), batch = logits.shape[0] / views.count;
  const parts = Array.from(
    { length: views.count },
    (_, view) => algebra.rows(`logits of view ${view}`, logits, view * batch, (view + 1) * batch),
  );
  const losses: Tensor[] = [];
  for (let large = 0; large < views.large; large++) {
    const targets = assignments(algebra, `assignments of view ${large}`, parts[large], options);
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

/** SwAV with the original system's sizes, without its queue. */
export const swav: Objective<{
  projHidden: number;
  projOut: number;
  prototypes: number;
  temperature: number;
  epsilon: number;
  iterations: number;
}> = {
  name: "swav",
  defaults: { projHidden: 2048, projOut: 128, prototypes: 3000, temperature: 0.1, epsilon: 0.05, iterations: 3 },
  multiCrop: true,
  build(context, features) {
    const { graph, settings, views, largeViews } = context;
    const layers = [{ width: settings.projHidden, norm: true, activation: "relu" }, {
      width: settings.projOut,
    }] as const;
    const algebra = new Algebra(graph);
    const z = algebra.normalise("unit projections", mlp(context, "projector", features, layers));
    const logits = algebra.products(
      "cosines",
      z,
      prototypes(graph, "prototypes", settings.prototypes, settings.projOut),
    );
    return { loss: swavLoss(graph, logits, { count: views, large: largeViews }, settings) };
  },
};
