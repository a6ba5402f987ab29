/**
 * Eigenvectors of large symmetric matrices in float64: Householder's tridiagonal form, then implicit QL steps (Golub and
 * Van Loan, "Matrix Computations", 4th edition, sections 8.3.1 and 8.3.3). Exact to rounding of the largest eigenvalue;
 * about 9 n^3 multiplications, ten seconds or so for n = 2049.
 *
 * @module
 */

/** Eigenvalues and their vectors, in no order. */
export interface RowEigen {
  /** [n] */
  readonly values: Float64Array;
  /** [n][n]: the vector of eigenvalue k is row k. */
  readonly vectors: readonly Float64Array[];
}

const EPSILON = 2 ** -52;
/** QL steps that one eigenvalue may take; two or three do. */
const MOST_STEPS = 60;

/** Eigenvalues and eigenvectors of a symmetric matrix [n][n]. */
export function eigenOfSymmetric(matrix: readonly Float64Array[]): RowEigen {
  const { diagonal, beside, vectors } = tridiagonalise(matrix);
  // What is nothing beside the largest is nothing: among eigenvalues of zero, rounding never gets below their own size.
  const nothing = EPSILON * diagonal.reduce((most, d, k) => Math.max(most, Math.abs(d) + Math.abs(beside[k])), 0);
  for (let first = 0; first < diagonal.length; first++) {
    for (let steps = 0;; steps++) {
      const last = endOfBlock(diagonal, beside, first, nothing);
      if (last === first) break;
      if (steps === MOST_STEPS) throw new RangeError("Cannot find eigenvalues: finite numbers are required");
      stepQl(diagonal, beside, vectors, first, last);
    }
  }
  return { values: diagonal, vectors };
}

/** T = Q A Q^T with the diagonal and what stands beside it, `beside[k]` between k and k + 1; the rows of Q. */
function tridiagonalise(matrix: readonly Float64Array[]) {
  const n = matrix.length;
  const a = matrix.map((row) => row.slice());
  const vectors = a.map((_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  const beside = new Float64Array(n);
  for (let k = 0; k + 1 < n; k++) {
    const v = a[k].slice(k + 1);
    const norm = Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
    beside[k] = v[0] > 0 ? -norm : norm;
    v[0] -= beside[k];
    const square = v.reduce((sum, value) => sum + value * value, 0);
    if (square === 0) continue;
    reflectBothSides(a, v, 2 / square, k + 1);
    reflectRows(vectors, v, 2 / square, k + 1);
  }
  return { diagonal: Float64Array.from(a, (row, k) => row[k]), beside, vectors };
}

/** A := H A H from row and column `from` on, H = I - scale v v^T. */
function reflectBothSides(a: Float64Array[], v: Float64Array, scale: number, from: number): void {
  const size = v.length, w = new Float64Array(size);
  let along = 0;
  for (let i = 0; i < size; i++) {
    const row = a[from + i];
    let sum = 0;
    for (let j = 0; j < size; j++) sum += row[from + j] * v[j];
    w[i] = scale * sum;
    along += w[i] * v[i];
  }
  for (let i = 0; i < size; i++) w[i] -= scale / 2 * along * v[i];
  for (let i = 0; i < size; i++) {
    const row = a[from + i], vi = v[i], wi = w[i];
    for (let j = 0; j < size; j++) row[from + j] -= vi * w[j] + wi * v[j];
  }
}

/** rows := H rows from row `from` on. */
function reflectRows(rows: Float64Array[], v: Float64Array, scale: number, from: number): void {
  const n = rows.length, sum = new Float64Array(n);
  for (let i = 0; i < v.length; i++) {
    const row = rows[from + i], weight = scale * v[i];
    for (let j = 0; j < n; j++) sum[j] += weight * row[j];
  }
  for (let i = 0; i < v.length; i++) {
    const row = rows[from + i], vi = v[i];
    for (let j = 0; j < n; j++) row[j] -= vi * sum[j];
  }
}

/** The last index of the block that begins at `first` and that nothing separates from it. */
function endOfBlock(diagonal: Float64Array, beside: Float64Array, first: number, nothing: number): number {
  let last = first;
  while (last + 1 < diagonal.length && !(Math.abs(beside[last]) <= nothing)) last++;
  return last;
}

/** One implicit QL step with Wilkinson's shift on the block `first`..`last`. */
function stepQl(d: Float64Array, e: Float64Array, rows: Float64Array[], first: number, last: number): void {
  const half = (d[first + 1] - d[first]) / (2 * e[first]);
  const root = Math.hypot(half, 1);
  let g = d[last] - d[first] + e[first] / (half + (half >= 0 ? root : -root));
  let s = 1, c = 1, p = 0;
  for (let i = last - 1; i >= first; i--) {
    const f = s * e[i], b = c * e[i];
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1] -= p;
      e[last] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    const q = (d[i] - g) * s + 2 * c * b;
    p = s * q;
    d[i + 1] = g + p;
    g = c * q - b;
    rotateRows(rows[i], rows[i + 1], c, s);
  }
  d[first] -= p;
  e[first] = g;
  e[last] = 0;
}

function rotateRows(lower: Float64Array, upper: Float64Array, c: number, s: number): void {
  for (let j = 0; j < lower.length; j++) {
    const u = upper[j];
    upper[j] = s * lower[j] + c * u;
    lower[j] = c * lower[j] - s * u;
  }
}
