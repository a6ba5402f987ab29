/**
 * Gaussian priors over a flat vector: N(mean, Psi + W W^T), Psi diagonal, W^T of K rows. Host side, in PyTorch's order.
 *
 * @module
 */

import { eigenvectors } from "./eigen.ts";
import { truncateRows } from "./kinds.ts";
import { combineRows, gramMatrix } from "./rows.ts";
import type { Swag } from "./swag.ts";

/** A Gaussian N(mean, Psi + W W^T). */
export interface Gaussian {
  /** [P] */
  readonly mean: Float32Array;
  /** Diagonal Psi, [P]; positive. */
  readonly psi: Float32Array;
  /** Rows of W^T, K of [P], rotated so that W^T Psi^-1 W is diagonal: see {@linkcode diagonalise}. */
  readonly rows: readonly Float32Array[];
  /** The diagonal of W^T Psi^-1 W, [K]. */
  readonly gram: Float64Array;
}

/** How a learned prior is rescaled. */
export interface PriorScaling {
  /** lambda: the covariance becomes lambda * Sigma + eps * I. */
  readonly scale: number;
  /** eps: added to the diagonal, not scaled. */
  readonly eps: number;
  /** Rows of the factor to use, see {@linkcode truncateRows}; default all. */
  readonly rank?: number;
  /** Reproduce the original: W = lambda Q of the oldest rows, no factor 1/2 (defects D2 and D3). */
  readonly compat?: boolean;
}

function requirePositive(what: string, value: number): void {
  if (value > 0 && value < Infinity) return;
  throw new RangeError(`Cannot build a prior: ${what} is ${value}, but a positive number is required`);
}

/**
 * The learned prior: N(mean, lambda * (diag(variance) + Q^T Q) / 2 + eps * I), as arXiv 2205.10279 scales SWAG's
 * (arXiv 1902.02476). Fewer rows than there are are taken as {@linkcode truncateRows} says: of deviations the newest, renormalised.
 */
export function shiftedGaussian(swag: Swag, { scale, eps, rank, compat = false }: PriorScaling): Gaussian {
  requirePositive("the scale", scale);
  if (!(eps >= 0)) throw new RangeError(`Cannot build a prior: eps is ${eps}, but a number of at least 0 is required`);
  const total = swag.covFactor.length;
  const wanted = rank ?? total;
  if (!Number.isInteger(wanted) || wanted < 0 || wanted > total) {
    throw new RangeError(`Cannot build a prior of rank ${wanted}: the file holds ${total} rows`);
  }
  const half = compat ? 1 : 0.5;
  const psi = swag.variance.map((variance) => half * scale * variance + eps);
  const smallest = psi.reduce((least, value) => Math.min(least, value), Infinity);
  if (!(smallest > 0)) {
    throw new RangeError(
      `Cannot build a prior: its smallest variance is ${smallest}, but a positive one is required; raise eps`,
    );
  }
  const chosen = compat
    ? { rows: swag.covFactor.slice(0, wanted), factor: 1 }
    : truncateRows(swag.covFactor, wanted, swag.kind);
  const factor = (compat ? scale : Math.sqrt(half * scale)) * chosen.factor;
  return diagonalise(swag.mean, psi, chosen.rows.map((row) => row.map((value) => value * factor)));
}

/** N(mean, variance * I): with the pre-trained mean this is L2-SP, the fair rival of a learned covariance. */
export function isotropic(mean: Float32Array, variance: number): Gaussian {
  requirePositive("the variance", variance);
  return { mean, psi: new Float32Array(mean.length).fill(variance), rows: [], gram: new Float64Array(0) };
}

/**
 * Rotates the rows so that W^T Psi^-1 W is diagonal. W W^T does not change, but the small system C = I + W^T Psi^-1 W
 * becomes diagonal: snapshots are strongly correlated, and in float32 the solution of an ill-conditioned C would lose
 * the directions of small variance.
 */
export function diagonalise(mean: Float32Array, psi: Float32Array, rows: readonly Float32Array[]): Gaussian {
  const vectors = eigenvectors(gramMatrix(rows, psi));
  const rotated = rows.map((_, k) => combineRows(rows, vectors.map((vector) => vector[k])));
  const gram = Float64Array.from(rotated, (row) => {
    let sum = 0;
    for (let p = 0; p < psi.length; p++) sum += row[p] * row[p] / psi[p];
    return sum;
  });
  return { mean, psi, rows: rotated, gram };
}

/**
 * The part of log N(theta; mean, Psi + W W^T) that does not depend on theta: -(P ln 2 pi + sum ln Psi + ln det C) / 2.
 */
export function logNormaliser({ psi, gram }: Gaussian): number {
  let sum = psi.length * Math.log(2 * Math.PI);
  for (const value of psi) sum += Math.log(value);
  for (const value of gram) sum += Math.log1p(value);
  return -0.5 * sum;
}

/** log N(theta; ...) by Woodbury in float64 on the host. */
export function logDensity(gaussian: Gaussian, theta: Float32Array): number {
  const { mean, psi, rows, gram } = gaussian;
  let quadratic = 0;
  const projection = new Float64Array(rows.length);
  for (let p = 0; p < theta.length; p++) {
    const delta = theta[p] - mean[p];
    quadratic += delta * delta / psi[p];
    rows.forEach((row, k) => projection[k] += row[p] * delta / psi[p]);
  }
  // C is diagonal but for the rounding of the rotated rows; the remainder is far below float32's resolution.
  projection.forEach((value, k) => quadratic -= value * value / (1 + gram[k]));
  return logNormaliser(gaussian) - 0.5 * quadratic;
}

/** Largest eigenvalue of the precision, bounded by max 1 / Psi: what an explicit step must resolve. */
export function stiffness({ psi }: Gaussian): number {
  return 1 / psi.reduce((least, value) => Math.min(least, value), Infinity);
}
