/**
 * NNCLR (Dwibedi et al., arXiv 2104.14548): what is predicted from a view shall be closer to the nearest earlier image of the
 * other view than to those of the rest of the batch.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows } from "../../ops/cross_entropy_rows.ts";
import type { Tensor } from "../../ops/operation.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import { neighbourhood } from "./neighbours.ts";
import { type Objective, requirePositive, requireSeveral } from "./objective.ts";

/**
 * The mean over both directions of the cross-entropy of neighbours against predictions of the other view.
 *
 * @param p [2 B, D]: predictions, view by view
 * @param neighbours [2 B, D]: of unit length, in the same order
 * @returns [1], in nats
 */
export function nnclrLoss(graph: Graph, p: Tensor, neighbours: Tensor, temperature: number): Tensor {
  const algebra = new Algebra(graph);
  const predictions = algebra.halves("predictions", algebra.normalise("unit predictions", p));
  const wanted = algebra.halves("neighbours", neighbours);
  const losses = [0, 1].map((view) => {
    const name = (what: string) => `${what} of direction ${view}`;
    const sharpened = algebra.affine(name("sharpened"), wanted[view], 1 / temperature);
    const logits = algebra.products(name("similarities"), sharpened, predictions[1 - view]);
    const rows = graph.apply(crossEntropyRows(name("losses"), logits, { kind: "shifted", shift: 0 }));
    return algebra.mean(name("mean loss"), rows);
  });
  return algebra.affine("both directions", algebra.combine("sum", "add", losses[0], losses[1]), 0.5);
}

/** NNCLR with the original system's sizes. */
export const nnclr: Objective<
  { projHidden: number; projOut: number; predHidden: number; temperature: number; queueSize: number }
> = {
  name: "nnclr",
  defaults: { projHidden: 2048, projOut: 256, predHidden: 4096, temperature: 0.2, queueSize: 65536 },
  build(context, features) {
    const { projHidden, projOut, predHidden, temperature } = context.settings;
    requirePositive("nnclr", context.settings, ["temperature"]);
    requireSeveral("nnclr", context.batchSize);
    const hidden = { width: projHidden, norm: true, activation: "relu" } as const;
    const z = mlp(context, "projector", features, [hidden, hidden, { width: projOut, norm: true }]);
    const predictor = [{ width: predHidden, norm: true, activation: "relu" }, { width: projOut }] as const;
    const p = mlp(context, "predictor", z, predictor);
    const { neighbours, update } = neighbourhood(context, z);
    return { loss: nnclrLoss(context.graph, p, neighbours, temperature), updates: [update] };
  },
};
