/**
 * BYOL (Grill et al., arXiv 2006.07733): what is predicted from one view shall be what a slowly moving copy of the network
 * makes of the other.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import type { Tensor } from "../../ops/operation.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import { keepOf, MOMENTUM, type MomentumSettings, type Objective, type ObjectiveContext } from "./objective.ts";

/** Sizes of BYOL and of what it is a part of. */
export type ByolSettings = { projHidden: number; projOut: number; predHidden: number } & MomentumSettings;

/**
 * The sum over both directions of the mean of |p / |p| - t / |t||^2.
 *
 * @param p [2 B, D]: predictions, view by view
 * @param t [2 B, D]: targets, in the same order; the other view's count
 * @returns [1], from 0 to 8
 */
export function byolLoss(graph: Graph, p: Tensor, t: Tensor): Tensor {
  const algebra = new Algebra(graph);
  return algebra.affine("distance", algebra.meanCosine("agreement", p, algebra.swapped("other targets", t)), -4, 4);
}

/** Projections [2 B, projOut]. */
export function byolProjector(context: ObjectiveContext<ByolSettings>, features: Tensor): Tensor {
  const { projHidden, projOut } = context.settings;
  return mlp(context, "projector", features, [{ width: projHidden, norm: true, activation: "relu" }, {
    width: projOut,
  }]);
}

/** Predictions of the same shape. */
export function byolPredictor(context: ObjectiveContext<ByolSettings>, z: Tensor): Tensor {
  const { predHidden, projOut } = context.settings;
  return mlp(context, "predictor", z, [{ width: predHidden, norm: true, activation: "relu" }, { width: projOut }]);
}

/** BYOL with the original system's sizes. */
export const byol: Objective<ByolSettings> = {
  name: "byol",
  defaults: { projHidden: 2048, projOut: 256, predHidden: 512, ...MOMENTUM },
  momentum: { keep: (settings) => keepOf("byol", settings), build: byolProjector },
  build(context, features, targets) {
    const p = byolPredictor(context, byolProjector(context, features));
    return { loss: byolLoss(context.graph, p, targets!) };
  },
};
