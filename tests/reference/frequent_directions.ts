/**
 * Frequent Directions in float64, a row at a time, by the eigenvectors of all products: the twin of `Sketch`.
 *
 * @module
 */

import { symmetricEigen } from "../../lib/priors/eigen.ts";

/** Sketch of at most `size` rows of a stream, and what shrinking took from each direction's square at most. */
export function frequentDirections(
  stream: readonly Float64Array[],
  size: number,
): { readonly rows: readonly Float64Array[]; readonly shrunk: number } {
  let rows: Float64Array[] = [], shrunk = 0;
  for (const added of stream) {
    const all = [...rows, added];
    const product = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, p) => sum + value * b[p], 0);
    const { values, vectors } = symmetricEigen(all.map((a) => Float64Array.from(all, (b) => product(a, b))));
    const shrink = values[size] ?? 0;
    rows = [];
    for (let k = 0; k < size && values[k] > shrink; k++) {
      const scale = Math.sqrt((values[k] - shrink) / values[k]);
      rows.push(added.map((_, p) => all.reduce((sum, row, j) => sum + scale * vectors[j][k] * row[p], 0)));
    }
    shrunk += shrink;
  }
  return { rows, shrunk };
}
