/**
 * Several learned Gaussians as one: multi-SWAG (Wilson and Izmailov, arXiv 2002.08791) by its moments.
 *
 * @module
 */

import { symmetricEigen } from "./eigen.ts";
import { combineRows, gramMatrix } from "./rows.ts";
import type { Swag } from "./swag.ts";

/** How Gaussians are merged. */
export interface MergeOptions {
  /** Most rows of the merged factor; default 20. */
  readonly maxRank?: number;
  /** Weights of the mixture, positive; default equal. Only their ratios count. */
  readonly weights?: readonly number[];
}

/** A mixture's moments as one Gaussian, and what its rank left out. */
export interface MergedSwag {
  /** The Gaussian of the mixture's moments. */
  readonly swag: Swag;
  /** Share of the trace of the mixture's low-rank part that the factor keeps, 0 to 1; the rest is on the diagonal. */
  readonly kept: number;
  /** Largest variance, in any direction of unit length, that the factor does not have; 0 where the merge is exact. */
  readonly dropped: number;
}

/** Eigenvalues below this share of the largest are rounding. */
const ROUNDING = 1e-12;

function mixtureWeights(count: number, given: readonly number[] | undefined): number[] {
  const weights = given ?? new Array<number>(count).fill(1);
  if (weights.length !== count || !weights.every((weight) => weight > 0 && weight < Infinity)) {
    throw new RangeError(`Cannot merge ${count} priors with weights [${weights}]: as many positive ones are required`);
  }
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

function requireMergeable(priors: readonly Swag[], maxRank: number): void {
  if (!Number.isInteger(maxRank) || maxRank < 0) {
    throw new RangeError(`Cannot merge priors: the rank is ${maxRank}, but an integer of at least 0 is required`);
  }
  const lengths = priors.map(({ mean }) => mean.length);
  if (lengths.length === 0 || lengths.some((length) => length !== lengths[0])) {
    throw new TypeError(
      `Cannot merge priors over [${lengths}] parameters: at least one, all of the same network, are required`,
    );
  }
}

/** sum_i weights[i] * vectors[i] in float64. */
function weightedSum(vectors: readonly Float32Array[], weights: readonly number[]): Float64Array {
  const sum = new Float64Array(vectors[0].length);
  vectors.forEach((vector, i) => {
    for (let p = 0; p < sum.length; p++) sum[p] += weights[i] * vector[p];
  });
  return sum;
}

/**
 * The Gaussian with the moments of the mixture sum_i w_i N(mu_i, S_i), S_i = (diag(v_i) + Q_i^T Q_i) / 2: mean mu =
 * sum w_i mu_i and covariance sum w_i (S_i + (mu_i - mu)(mu_i - mu)^T). So the variance is sum w_i v_i, and the rows of
 * the factor are those of sqrt(w_i) Q_i and the differences sqrt(2 w_i) (mu_i - mu), rotated to be orthogonal, largest
 * first.
 *
 * Exact where the sum of the ranks plus one less than the number of priors is at most `maxRank`. Otherwise the largest
 * rows are kept, and what the others add to each weight's variance goes to the diagonal: mean and variance of every
 * weight stay exact, correlations along the rows left out are lost.
 *
 * @throws TypeError where the priors are over different networks
 * @throws RangeError where a rank or a weight is none
 */
export function mergeSwag(priors: readonly Swag[], options: MergeOptions = {}): MergedSwag {
  const { maxRank = 20 } = options;
  requireMergeable(priors, maxRank);
  const weights = mixtureWeights(priors.length, options.weights);
  const center = weightedSum(priors.map(({ mean }) => mean), weights);
  const rows: Float32Array[] = [], scales: number[] = [];
  priors.forEach(({ mean, covFactor }, i) => {
    rows.push(...covFactor);
    covFactor.forEach(() => scales.push(Math.sqrt(weights[i])));
    if (priors.length === 1) return;
    rows.push(mean.map((value, p) => value - center[p]));
    scales.push(Math.sqrt(2 * weights[i]));
  });
  const gram = gramMatrix(rows).map((row, i) => row.map((value, j) => value * scales[i] * scales[j]));
  const { values, vectors } = symmetricEigen(gram);
  // Values beyond the rank are roundings of 0.
  const rank = values.filter((value) => value > ROUNDING * values[0]).length;
  const kept = Math.min(rank, maxRank);
  const covFactor = Array.from(
    { length: kept },
    (_, k) => combineRows(rows, vectors.map((vector, j) => scales[j] * vector[k])),
  );
  const variance = weightedSum(priors.map((prior) => prior.variance), weights);
  if (kept < rank) moveToDiagonal(variance, rows, scales, covFactor);
  const total = values.reduce((a, b) => a + b, 0);
  return {
    swag: { mean: Float32Array.from(center), variance: Float32Array.from(variance), covFactor, kind: "mixture" },
    kept: kept === rank || total === 0 ? 1 : values.subarray(0, kept).reduce((a, b) => a + b, 0) / total,
    dropped: kept < rank ? values[kept] / 2 : 0,
  };
}

/** Adds to each variance what the rows have and the factor has not. */
function moveToDiagonal(
  variance: Float64Array,
  rows: readonly Float32Array[],
  scales: readonly number[],
  covFactor: readonly Float32Array[],
): void {
  for (let p = 0; p < variance.length; p++) {
    let rest = 0;
    for (let k = 0; k < rows.length; k++) rest += (scales[k] * rows[k][p]) ** 2;
    for (const row of covFactor) rest -= row[p] ** 2;
    variance[p] += Math.max(0, rest);
  }
}
