/**
 * Small dense matrices in float64, row by row, for the laws that the samplers must have.
 *
 * @module
 */

/** Rows of equal length. */
export type Matrix = readonly Float64Array[];

export function zeros(rows: number, columns: number = rows): Float64Array[] {
  return Array.from({ length: rows }, () => new Float64Array(columns));
}

export function diagonal(values: ArrayLike<number>): Matrix {
  const result = zeros(values.length);
  for (let i = 0; i < values.length; i++) result[i][i] = values[i];
  return result;
}

export function identity(size: number): Matrix {
  return diagonal(new Float64Array(size).fill(1));
}

/** alpha a + beta b. */
export function combine(alpha: number, a: Matrix, beta: number, b: Matrix): Matrix {
  return a.map((row, i) => row.map((value, j) => alpha * value + beta * b[i][j]));
}

export function scaled(alpha: number, a: Matrix): Matrix {
  return a.map((row) => row.map((value) => alpha * value));
}

export function product(a: Matrix, b: Matrix): Matrix {
  const result = zeros(a.length, b[0].length);
  for (let i = 0; i < a.length; i++) {
    const out = result[i];
    for (let k = 0; k < b.length; k++) {
      const factor = a[i][k], row = b[k];
      if (factor === 0) continue;
      for (let j = 0; j < row.length; j++) out[j] += factor * row[j];
    }
  }
  return result;
}

export function transpose(a: Matrix): Matrix {
  return Array.from(a[0], (_, j) => Float64Array.from(a, (row) => row[j]));
}

/** [[a, b], [c, d]] */
export function blocks(a: Matrix, b: Matrix, c: Matrix, d: Matrix): Matrix {
  const beside = (left: Matrix, right: Matrix) => left.map((row, i) => Float64Array.of(...row, ...right[i]));
  return [...beside(a, b), ...beside(c, d)];
}

/** a^-1 b by Gauss's elimination with partial pivoting. */
export function solve(a: Matrix, b: Matrix): Matrix {
  const left = a.map((row) => row.slice()), right = b.map((row) => row.slice()), size = a.length;
  for (let k = 0; k < size; k++) {
    let pivot = k;
    for (let i = k + 1; i < size; i++) if (Math.abs(left[i][k]) > Math.abs(left[pivot][k])) pivot = i;
    [left[k], left[pivot]] = [left[pivot], left[k]];
    [right[k], right[pivot]] = [right[pivot], right[k]];
    for (let i = k + 1; i < size; i++) {
      const factor = left[i][k] / left[k][k];
      if (factor === 0) continue;
      for (let j = k; j < size; j++) left[i][j] -= factor * left[k][j];
      for (let j = 0; j < right[i].length; j++) right[i][j] -= factor * right[k][j];
    }
  }
  for (let k = size - 1; k >= 0; k--) {
    for (let j = 0; j < right[k].length; j++) {
      let sum = right[k][j];
      for (let i = k + 1; i < size; i++) sum -= left[k][i] * right[i][j];
      right[k][j] = sum / left[k][k];
    }
  }
  return right;
}

export function times(a: Matrix, x: ArrayLike<number>): Float64Array {
  return Float64Array.from(a, (row) => row.reduce((sum, value, j) => sum + value * x[j], 0));
}

/** X = A X A^T + Q for a contraction A, by doubling: X = sum of A^i Q A^iT. */
export function discreteLyapunov(a: Matrix, q: Matrix): Matrix {
  let power = a, sum = q;
  for (let doubling = 0; doubling < 60; doubling++) {
    const added = product(product(power, sum), transpose(power));
    sum = combine(1, sum, 1, added);
    power = product(power, power);
    if (power.every((row) => row.every((value) => Math.abs(value) < 1e-30))) return sum;
  }
  throw new RangeError("Cannot solve the Lyapunov equation: the recursion is no contraction");
}
