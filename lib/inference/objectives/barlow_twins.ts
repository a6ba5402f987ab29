/**
 * Barlow Twins (Zbontar et al., arXiv 2103.03230): the correlations of the projections of two views shall be the identity.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import type { Tensor } from "../../ops/operation.ts";
import { reduceMean, reduceSum } from "../../ops/reduce.ts";
import { unary } from "../../ops/unary.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import { type Objective, requireSeveral } from "./objective.ts";

/** Added to a variance before its root, as in BatchNorm. */
const EPS = 1e-5;

/** Columns of mean 0 and variance 1. */
function standardised(algebra: Algebra, name: string, x: Tensor): Tensor {
  const { graph } = algebra;
  const centred = algebra.centred(`${name} centred`, x);
  const variance = graph.apply(reduceMean(`${name} variance`, algebra.square(`${name} squares`, centred), [0]));
  const deviation = graph.apply(unary(`${name} deviation`, algebra.affine(`${name} floor`, variance, 1, EPS), {
    kind: "sqrt",
  }));
  return algebra.combine(name, "div", centred, deviation);
}

/**
 * scale * (sum of (1 - C_ii)^2 + lambda * sum of C_ij^2 over i != j), with C the correlations between the views.
 *
 * @param z [2 B, D]: projections; row i and row i + B are views of one image
 * @returns [1]
 */
export function barlowLoss(
  graph: Graph,
  z: Tensor,
  { lambda, scale }: { readonly lambda: number; readonly scale: number },
): Tensor {
  const algebra = new Algebra(graph), batch = z.shape[0] / 2;
  const [first, second] = algebra.halves("projections", z);
  const a = standardised(algebra, "standardised 1", first), b = standardised(algebra, "standardised 2", second);
  const own = graph.apply(reduceSum("own products", algebra.combine("products", "mul", a, b), [0]));
  const diagonal = algebra.affine("diagonal", own, 1 / batch);
  const all = algebra.affine("correlations", algebra.columnProducts("cross products", a, b), 1 / batch);
  const missing = algebra.sum("missing", algebra.square("missing squares", algebra.affine("gap", diagonal, -1, 1)));
  // The sum over i != j is that of all less the diagonal's: no mask of D x D numbers is needed.
  const others = algebra.combine(
    "redundancy",
    "sub",
    algebra.sum("all squares", algebra.square("squared correlations", all)),
    algebra.sum("diagonal squares", algebra.square("squared diagonal", diagonal)),
  );
  const weighted = algebra.combine("both", "add", missing, algebra.affine("weighted redundancy", others, lambda));
  return algebra.affine("scaled", weighted, scale);
}

/** Barlow Twins with the original system's sizes. */
export const barlowTwins: Objective<{ projHidden: number; projOut: number; lambda: number; scale: number }> = {
  name: "barlow_twins",
  defaults: { projHidden: 2048, projOut: 2048, lambda: 0.0051, scale: 0.024 },
  build(context, features) {
    const { projHidden, projOut, lambda, scale } = context.settings;
    requireSeveral("barlow_twins", context.batchSize);
    const hidden = { width: projHidden, norm: true, activation: "relu" } as const;
    const z = mlp(context, "projector", features, [hidden, hidden, { width: projOut }]);
    return { loss: barlowLoss(context.graph, z, { lambda, scale }) };
  },
};
