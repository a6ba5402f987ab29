/**
 * SimSiam (Chen and He, arXiv 2011.10566): what is predicted from one view shall be the projection of the other, which is
 * held fixed.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import type { Tensor } from "../../ops/operation.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import type { Objective, ObjectiveContext } from "./objective.ts";

/** Sizes of SimSiam and of what it is a part of. */
export type SimsiamSettings = { projHidden: number; projOut: number; predHidden: number };

/**
 * Minus the mean cosine of the predictions and the other view's targets.
 *
 * @param p [2 B, D]: predictions, view by view
 * @param z [2 B, D]: targets, in the same order; nothing flows back to them
 * @returns [1], from -1 to 1
 */
export function simsiamLoss(graph: Graph, p: Tensor, z: Tensor): Tensor {
  const algebra = new Algebra(graph);
  const targets = algebra.fixed("fixed targets", algebra.swapped("other targets", z));
  return algebra.affine("disagreement", algebra.meanCosine("agreement", p, targets), -1);
}

/** Projections [2 B, projOut]. */
export function simsiamProjector(context: ObjectiveContext<SimsiamSettings>, features: Tensor): Tensor {
  const { projHidden, projOut } = context.settings;
  const hidden = { width: projHidden, bias: false, norm: true, activation: "relu" } as const;
  return mlp(context, "projector", features, [hidden, hidden, { width: projOut, bias: false, norm: "plain" }]);
}

/** Predictions of the same shape. */
export function simsiamPredictor(context: ObjectiveContext<SimsiamSettings>, z: Tensor): Tensor {
  const { predHidden, projOut } = context.settings;
  const hidden = { width: predHidden, bias: false, norm: true, activation: "relu" } as const;
  return mlp(context, "predictor", z, [hidden, { width: projOut }]);
}

/** SimSiam with the original system's sizes. */
export const simsiam: Objective<SimsiamSettings> = {
  name: "simsiam",
  defaults: { projHidden: 2048, projOut: 128, predHidden: 512 },
  build(context, features) {
    const z = simsiamProjector(context, features);
    return { loss: simsiamLoss(context.graph, simsiamPredictor(context, z), z) };
  },
};
