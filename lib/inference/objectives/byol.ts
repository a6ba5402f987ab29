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
 * The sum over all pairs of a view and another one, which is large, of the mean of |p / |p| - t / |t||^2.
 *
 * @param p [views B, D]: predictions, view by view, of the two large views first
 * @param t [2 B, D]: targets of the large views; those of the other ones count
 * @returns [1], from 0 to 4 for each pair: 2 pairs, and 2 more for each small view
 */
export function byolLoss(graph: Graph, p: Tensor, t: Tensor): Tensor {
  const algebra = new Algebra(graph), batch = t.shape[0] / 2, views = p.shape[0] / batch;
  const { large, small } = algebra.counterparts("other targets", t, views);
  const distance = (name: string, rows: Tensor, targets: Tensor) => {
    const scale = 2 * rows.shape[0] / batch;
    return algebra.affine(name, algebra.meanCosine(`${name} agreement`, rows, targets), -scale, scale);
  };
  if (small === undefined) return distance("distance", p, large);
  const rows = algebra.rows("predictions of small views", p, 2 * batch, views * batch);
  return [
    distance("distance of large views", algebra.rows("predictions of large views", p, 0, 2 * batch), large),
    ...small.map((targets, view) => distance(`distance of small views from view ${view + 1}`, rows, targets)),
  ].reduce((sum, term, i) => algebra.combine(`distance ${i}`, "add", sum, term));
}

/** Projections [views B, projOut]. */
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
  multiCrop: true,
  momentum: { keep: (settings) => keepOf("byol", settings), build: byolProjector },
  build(context, features, targets) {
    const p = byolPredictor(context, byolProjector(context, features));
    return { loss: byolLoss(context.graph, p, targets!) };
  },
};
