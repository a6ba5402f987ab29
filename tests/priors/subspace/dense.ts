/**
 * Dense P x P matrices of small factors, which the library never forms, and rows to make factors of.
 *
 * @module
 */

import type { Swag } from "../../../lib/priors/swag.ts";
import { PhiloxSequence } from "../../../lib/random/philox.ts";

/** Q^T Q, row-major [P, P], in float64. */
export function gramOfColumns(rows: readonly Float32Array[]): Float64Array {
  const size = rows[0]?.length ?? 0, matrix = new Float64Array(size * size);
  for (const row of rows) {
    for (let p = 0; p < size; p++) for (let q = 0; q < size; q++) matrix[p * size + q] += row[p] * row[q];
  }
  return matrix;
}

/** (diag(variance) + Q^T Q) / 2, row-major [P, P]. */
export function covarianceOf({ variance, covFactor }: Swag): Float64Array {
  const size = variance.length;
  const matrix = covFactor.length === 0 ? new Float64Array(size * size) : gramOfColumns(covFactor);
  variance.forEach((value, p) => matrix[p * size + p] += value);
  return matrix.map((value) => value / 2);
}

/** `count` rows: a signal of `rank` that falls by half, and noise. */
export function stream(count: number, size: number, rank: number, noise: number, seed = 1): Float32Array[] {
  const random = new PhiloxSequence(seed, 100);
  const directions = Array.from({ length: rank }, () => Float64Array.from({ length: size }, () => random.normal()));
  return Array.from({ length: count }, () => {
    const weights = directions.map((_, k) => random.normal() * 0.5 ** k);
    return Float32Array.from(
      { length: size },
      (_, p) => directions.reduce((sum, v, k) => sum + weights[k] * v[p], noise * random.normal()),
    );
  });
}
