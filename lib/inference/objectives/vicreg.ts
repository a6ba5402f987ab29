/**
 * VICReg (Bardes et al., arXiv 2105.04906): views shall agree, each feature shall vary, and features shall not covary.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import type { Tensor } from "../../ops/operation.ts";
import { reduceSum } from "../../ops/reduce.ts";
import { relu } from "../../ops/relu.ts";
import { unary } from "../../ops/unary.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import { type Objective, requireSeveral } from "./objective.ts";

/** Weights of the three terms. */
export type VicregWeights = { readonly invariance: number; readonly variance: number; readonly covariance: number };

/** Added to a variance before its root. */
const EPS = 1e-4;

/** Of one view: the mean shortfall of the deviations from 1, and the squares of the covariances over D, both [1]. */
function spreadOf(algebra: Algebra, view: string, z: Tensor): { shortfall: Tensor; covariance: Tensor } {
  const { graph } = algebra, [batch, width] = z.shape;
  const name = (what: string) => `${what} of ${view}`;
  const centred = algebra.centred(name("centred"), z);
  const squares = graph.apply(reduceSum(name("sums of squares"), algebra.square(name("squares"), centred), [0]));
  const variance = algebra.affine(name("variance"), squares, 1 / (batch - 1));
  const deviation = graph.apply(unary(name("deviation"), algebra.affine(name("floor"), variance, 1, EPS), {
    kind: "sqrt",
  }));
  const gap = graph.apply(relu(name("gap"), algebra.affine(name("one less"), deviation, -1, 1)));
  const all = algebra.affine(
    name("covariances"),
    algebra.columnProducts(name("column products"), centred, centred),
    1 / (batch - 1),
  );
  // The sum over i != j is that of all less the diagonal's, which are the variances.
  const others = algebra.combine(
    name("off the diagonal"),
    "sub",
    algebra.sum(name("all squares"), algebra.square(name("squared covariances"), all)),
    algebra.sum(name("diagonal squares"), algebra.square(name("squared variances"), variance)),
  );
  return {
    shortfall: algebra.mean(name("shortfall"), gap),
    covariance: algebra.affine(name("covariance"), others, 1 / width),
  };
}

/**
 * invariance * mean (z1 - z2)^2 + variance * sum over views of the mean of max(0, 1 - deviation) + covariance * sum over
 * views of the squared covariances of different features over D.
 *
 * @param z [2 B, D]: projections; row i and row i + B are views of one image
 * @returns [1]
 */
export function vicregLoss(graph: Graph, z: Tensor, weights: VicregWeights): Tensor {
  const algebra = new Algebra(graph);
  const [first, second] = algebra.halves("projections", z);
  const difference = algebra.combine("difference", "sub", first, second);
  const one = spreadOf(algebra, "view 1", first), other = spreadOf(algebra, "view 2", second);
  const terms: [string, Tensor, number][] = [
    ["invariance", algebra.mean("distance", algebra.square("squared difference", difference)), weights.invariance],
    ["variance", algebra.combine("shortfalls", "add", one.shortfall, other.shortfall), weights.variance],
    ["covariance", algebra.combine("covariances", "add", one.covariance, other.covariance), weights.covariance],
  ];
  return terms.map(([name, term, weight]) => algebra.affine(name, term, weight))
    .reduce((sum, term, index) => algebra.combine(`sum ${index}`, "add", sum, term));
}

/** VICReg with the original system's sizes. */
export const vicreg: Objective<
  { projHidden: number; projOut: number; invariance: number; variance: number; covariance: number }
> = {
  name: "vicreg",
  defaults: { projHidden: 2048, projOut: 2048, invariance: 25, variance: 25, covariance: 1 },
  build(context, features) {
    const { projHidden, projOut, ...weights } = context.settings;
    requireSeveral("vicreg", context.batchSize);
    const hidden = { width: projHidden, norm: true, activation: "relu" } as const;
    const z = mlp(context, "projector", features, [hidden, hidden, { width: projOut }]);
    return { loss: vicregLoss(context.graph, z, weights) };
  },
};
