/**
 * Reference of the normal distribution with covariance diag(Ψ) + Σ_k w_k w_kᵀ: the prior.
 *
 * Everything is given twice: by the dense covariance, which is obviously right and costs P³, and by Woodbury's identity
 * and the determinant lemma, which costs K²P:
 *
 *     y = W Ψ⁻¹ Δ,  C = I + W Ψ⁻¹ Wᵀ,  Δ = θ − μ          (W has the factors as rows, K × P)
 *     ln p = −½ [P ln 2π + Σ ln Ψ + ln det C + Δᵀ Ψ⁻¹ Δ − yᵀ C⁻¹ y]
 *     ∇ ln p = −Ψ⁻¹ (Δ − Wᵀ C⁻¹ y)
 *
 * Sums over P are compensated (Neumaier), so that P = 10⁶ costs no digits.
 *
 * @module
 */

import { cholesky, choleskyLogDeterminant, choleskySolve } from "./cholesky.ts";

/** A normal distribution with a low-rank plus diagonal covariance. */
export interface LowRankNormal {
  /** μ, `[P]`. */
  readonly mean: Float64Array;
  /** Ψ, the diagonal part of the covariance (a variance), `[P]`, positive. */
  readonly psi: Float64Array;
  /** W: K factors of length P, one array each; Σ = diag(Ψ) + WᵀW. */
  readonly factors: readonly Float64Array[];
}

/** Σᵢ term(i), with Neumaier's compensation for what rounding lost. */
export function compensatedSum(count: number, term: (index: number) => number): number {
  let sum = 0, lost = 0;
  for (let i = 0; i < count; i++) {
    const value = term(i), next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? (sum - next) + value : (value - next) + sum;
    sum = next;
  }
  return sum + lost;
}

/** The dense covariance, row-major `[P, P]`. */
export function denseCovariance({ mean, psi, factors }: LowRankNormal): Float64Array {
  const size = mean.length, covariance = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      let sum = row === column ? psi[row] : 0;
      for (const factor of factors) sum += factor[row] * factor[column];
      covariance[row * size + column] = sum;
    }
  }
  return covariance;
}

/** ln p(θ) by a dense Cholesky factor of Σ: for P up to a few hundred. */
export function logDensityDense(theta: Float64Array, normal: LowRankNormal): number {
  const size = theta.length, delta = theta.map((value, i) => value - normal.mean[i]);
  const lower = cholesky(denseCovariance(normal), size);
  const solved = choleskySolve(lower, delta);
  const quadratic = compensatedSum(size, (i) => delta[i] * solved[i]);
  return -0.5 * (size * Math.log(2 * Math.PI) + choleskyLogDeterminant(lower, size) + quadratic);
}

/** ∇ ln p(θ) = −Σ⁻¹ Δ by a dense Cholesky factor of Σ. */
export function gradientDense(theta: Float64Array, normal: LowRankNormal): Float64Array {
  const delta = theta.map((value, i) => value - normal.mean[i]);
  return choleskySolve(cholesky(denseCovariance(normal), theta.length), delta).map((value) => -value);
}

/** What both Woodbury forms need: Δ, the factor of C, y and C⁻¹y. */
function woodbury(theta: Float64Array, { mean, psi, factors }: LowRankNormal): {
  delta: Float64Array;
  lower: Float64Array;
  y: Float64Array;
  solved: Float64Array;
} {
  const size = theta.length, rank = factors.length;
  const delta = theta.map((value, i) => value - mean[i]);
  const capacitance = new Float64Array(rank * rank), y = new Float64Array(rank);
  for (let k = 0; k < rank; k++) {
    y[k] = compensatedSum(size, (i) => factors[k][i] * delta[i] / psi[i]);
    for (let l = 0; l < rank; l++) {
      const product = compensatedSum(size, (i) => factors[k][i] * factors[l][i] / psi[i]);
      capacitance[k * rank + l] = (k === l ? 1 : 0) + product;
    }
  }
  const lower = cholesky(capacitance, rank);
  return { delta, lower, y, solved: choleskySolve(lower, y) };
}

/** ln p(θ) by Woodbury's identity and the determinant lemma. */
export function logDensityWoodbury(theta: Float64Array, normal: LowRankNormal): number {
  const { psi, factors } = normal, size = theta.length;
  const { delta, lower, y, solved } = woodbury(theta, normal);
  const logDeterminant = compensatedSum(size, (i) => Math.log(psi[i])) + choleskyLogDeterminant(lower, factors.length);
  const quadratic = compensatedSum(size, (i) => delta[i] ** 2 / psi[i]) -
    y.reduce((sum, v, k) => sum + v * solved[k], 0);
  return -0.5 * (size * Math.log(2 * Math.PI) + logDeterminant + quadratic);
}

/** ∇ ln p(θ) by Woodbury's identity. */
export function gradientWoodbury(theta: Float64Array, normal: LowRankNormal): Float64Array {
  const { delta, solved } = woodbury(theta, normal);
  return delta.map((value, i) => {
    const inSpan = normal.factors.reduce((sum, factor, k) => sum + factor[i] * solved[k], 0);
    return -(value - inSpan) / normal.psi[i];
  });
}

/** The draw μ + √Ψ ⊙ z₁ + Wᵀ z₂ for standard normal `z1` `[P]` and `z2` `[K]`. */
export function draw({ mean, psi, factors }: LowRankNormal, z1: Float64Array, z2: Float64Array): Float64Array {
  return mean.map((value, i) =>
    value + Math.sqrt(psi[i]) * z1[i] + factors.reduce((sum, factor, k) => sum + factor[i] * z2[k], 0)
  );
}
