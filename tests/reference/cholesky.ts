/**
 * Dense symmetric positive definite systems, for the references of the priors.
 *
 * @module
 */

/**
 * Lower factor L of A = L Lᵀ, both row-major `[size, size]`.
 *
 * @throws {RangeError} where A is not positive definite.
 */
export function cholesky(a: Float64Array, size: number): Float64Array {
  const lower = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = a[row * size + column];
      for (let k = 0; k < column; k++) sum -= lower[row * size + k] * lower[column * size + k];
      if (row === column && !(sum > 0)) {
        throw new RangeError(`Cannot factor a ${size} x ${size} matrix: pivot ${row} is ${sum}, not positive`);
      }
      lower[row * size + column] = row === column ? Math.sqrt(sum) : sum / lower[column * size + column];
    }
  }
  return lower;
}

/** Solves L Lᵀ x = b for the lower factor of `cholesky`. */
export function choleskySolve(lower: Float64Array, b: Float64Array): Float64Array {
  const size = b.length, x = Float64Array.from(b);
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < row; k++) x[row] -= lower[row * size + k] * x[k];
    x[row] /= lower[row * size + row];
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let k = row + 1; k < size; k++) x[row] -= lower[k * size + row] * x[k];
    x[row] /= lower[row * size + row];
  }
  return x;
}

/** ln det A = 2 Σ ln Lᵢᵢ. */
export function choleskyLogDeterminant(lower: Float64Array, size: number): number {
  let sum = 0;
  for (let row = 0; row < size; row++) sum += 2 * Math.log(lower[row * size + row]);
  return sum;
}
