/**
 * Products of the rows of a factor [K, P] in float64 on the host. P x P matrices are never formed.
 *
 * @module
 */

/**
 * The inner products of all rows, [K][K], in float64.
 *
 * @param variance [P]: each product of elements is divided by its element; default 1
 */
export function gramMatrix(rows: readonly Float32Array[], variance?: Float32Array): Float64Array[] {
  const gram = rows.map(() => new Float64Array(rows.length));
  rows.forEach((a, i) => {
    for (let j = 0; j <= i; j++) gram[i][j] = gram[j][i] = product(a, rows[j], variance);
  });
  return gram;
}

function product(a: Float32Array, b: Float32Array, variance: Float32Array | undefined): number {
  let sum = 0;
  if (variance === undefined) { for (let p = 0; p < a.length; p++) sum += a[p] * b[p]; }
  else for (let p = 0; p < a.length; p++) sum += a[p] * b[p] / variance[p];
  return sum;
}

/** The sum of weights[k] times row k, [P], in float64 and rounded once. */
export function combineRows(rows: readonly Float32Array[], weights: ArrayLike<number>): Float32Array {
  const sum = new Float64Array(rows[0].length);
  rows.forEach((row, k) => {
    const weight = weights[k];
    for (let p = 0; p < sum.length; p++) sum[p] += weight * row[p];
  });
  return Float32Array.from(sum);
}
