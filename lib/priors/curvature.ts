/**
 * A Gaussian from the curvature of the source task's loss: Laplace's approximation with a diagonal Fisher information,
 * which is the prior of elastic weight consolidation (Kirkpatrick et al., arXiv 1612.00796).
 *
 * @module
 */

import type { Swag } from "./swag.ts";

/** What the curvature is scaled by. */
export interface CurvatureOptions {
  /** N: examples of the source task. */
  readonly numData: number;
  /** tau: precision of each weight before the source task was seen; N times the weight decay. */
  readonly precision: number;
}

/**
 * N(theta, diag(1 / (N F + tau))): theta the source network's weights, F the mean over examples of the squared gradient
 * of log p(y | x). The variance is held doubled, since a {@linkcode Swag}'s covariance is half of what it holds: the
 * prior of scale 1 is the posterior of the source task.
 *
 * @param fisher F, [P]
 * @throws RangeError where a weight would have no finite variance
 */
export function curvaturePrior(weights: Float32Array, fisher: Float32Array, options: CurvatureOptions): Swag {
  const { numData, precision } = options;
  if (!(precision >= 0 && precision < Infinity && numData > 0)) {
    throw new RangeError(
      `Cannot build a prior from the curvature of ${numData} examples at precision ${precision}: at least one example ` +
        "and a precision of at least 0 are required",
    );
  }
  const variance = fisher.map((value) => 2 / (numData * value + precision));
  const flat = variance.findIndex((value) => !Number.isFinite(value));
  if (flat >= 0) {
    throw new RangeError(
      `Cannot build a prior from the curvature: weight ${flat} has curvature ${
        fisher[flat]
      } and precision ${precision}; ` +
        "a positive precision is required",
    );
  }
  return { mean: weights, variance, covFactor: [], kind: "curvature" };
}
