/**
 * Reference of SWAG's moments (Maddox et al., arXiv 1902.02476) and of the prior made from them (arXiv 2205.10279).
 *
 * @module
 */

import type { LowRankNormal } from "./low_rank_normal.ts";

/** What snapshots θ₁..θ_T of a trajectory leave behind. */
export interface SwagMoments {
  /** μ: mean of all snapshots, `[P]`. */
  readonly mean: Float64Array;
  /** Mean of their squares, `[P]`. */
  readonly secondMoment: Float64Array;
  /** σ² = max(E[θ²] − μ², clamp), `[P]`. */
  readonly variance: Float64Array;
  /**
   * The newest deviations d_t = θ_t − μ_t, in time order, at most `maxRank`; μ_t is the running mean that already holds
   * θ_t, so d₁ is zero by construction and is left out.
   */
  readonly deviations: readonly Float64Array[];
}

/** Moments of the snapshots, by running updates in their order. */
export function swagMoments(snapshots: readonly Float64Array[], maxRank: number, clamp: number): SwagMoments {
  const mean = new Float64Array(snapshots[0].length), secondMoment = new Float64Array(snapshots[0].length);
  const deviations: Float64Array[] = [];
  snapshots.forEach((theta, t) => {
    theta.forEach((value, i) => {
      mean[i] = (mean[i] * t + value) / (t + 1);
      secondMoment[i] = (secondMoment[i] * t + value ** 2) / (t + 1);
    });
    if (t > 0) deviations.push(theta.map((value, i) => value - mean[i]));
  });
  return {
    mean,
    secondMoment,
    variance: mean.map((value, i) => Math.max(secondMoment[i] - value ** 2, clamp)),
    deviations: deviations.slice(Math.max(0, deviations.length - maxRank)),
  };
}

/**
 * Q = D / √(K − 1) from K deviations.
 *
 * @throws {RangeError} for a single deviation, whose normalisation is undefined.
 */
export function swagFactors(deviations: readonly Float64Array[]): Float64Array[] {
  const rank = deviations.length;
  if (rank === 1) {
    throw new RangeError("Cannot normalise 1 SWAG deviation by √(K − 1): none or at least 2 are required");
  }
  return deviations.map((row) => row.map((value) => value / Math.sqrt(rank - 1)));
}

/** The newest `rank` of K rows of Q, renormalised by √((K − 1) / (rank − 1)). */
export function truncatedFactors(factors: readonly Float64Array[], rank: number): Float64Array[] {
  if (rank === factors.length) return [...factors];
  if (!(rank > 1 && rank < factors.length)) {
    throw new RangeError(
      `Cannot keep ${rank} of ${factors.length} SWAG rows: between 2 and ${factors.length} are required`,
    );
  }
  const scale = Math.sqrt((factors.length - 1) / (rank - 1));
  return factors.slice(-rank).map((row) => row.map((value) => value * scale));
}

/** The prior N(μ, λ · ½(diag σ² + QᵀQ) + ε·I): Ψ = ½λσ² + ε and W = √(½λ) Q. */
export function swagPrior(
  mean: Float64Array,
  variance: Float64Array,
  factors: readonly Float64Array[],
  scale: number,
  epsilon: number,
): LowRankNormal {
  return {
    mean,
    psi: variance.map((value) => 0.5 * scale * value + epsilon),
    factors: factors.map((row) => row.map((value) => Math.sqrt(0.5 * scale) * value)),
  };
}

/** A SWAG draw: μ + √½ · (σ ⊙ z₁ + Qᵀ z₂). */
export function swagDraw(
  mean: Float64Array,
  variance: Float64Array,
  factors: readonly Float64Array[],
  z1: Float64Array,
  z2: Float64Array,
): Float64Array {
  return mean.map((value, i) => {
    const inSpan = factors.reduce((sum, factor, k) => sum + factor[i] * z2[k], 0);
    return value + Math.SQRT1_2 * (Math.sqrt(variance[i]) * z1[i] + inSpan);
  });
}
