/**
 * Dense P x P matrices of small factors, which the library never forms.
 *
 * @module
 */

import type { Swag } from "../../../lib/priors/swag.ts";

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
