/**
 * Eigenvectors of small symmetric matrices, by Jacobi rotations in float64: slow beyond a few hundred rows, but as
 * exact for small eigenvalues as for large ones.
 *
 * @module
 */

/** Eigenvalues, largest first, and their vectors. */
export interface Eigen {
  /** [n] */
  readonly values: Float64Array;
  /** [n][n]: element j of the vector of eigenvalue k is `vectors[j][k]`. */
  readonly vectors: readonly Float64Array[];
}

/** Eigenvectors (columns of the result, in no order) of a symmetric, positive semidefinite matrix. */
export function eigenvectors(matrix: readonly Float64Array[]): Float64Array[] {
  return decompose(matrix).vectors;
}

/** Eigenvalues and eigenvectors of a symmetric, positive semidefinite matrix [n][n], largest first. */
export function symmetricEigen(matrix: readonly Float64Array[]): Eigen {
  const { diagonal, vectors } = decompose(matrix);
  const order = Array.from(diagonal, (_, k) => k).sort((k, l) => diagonal[l] - diagonal[k]);
  return {
    values: Float64Array.from(order, (k) => Math.max(0, diagonal[k])),
    vectors: vectors.map((row) => Float64Array.from(order, (k) => row[k])),
  };
}

function decompose(matrix: readonly Float64Array[]): { diagonal: Float64Array; vectors: Float64Array[] } {
  const n = matrix.length;
  const a = matrix.map((row) => row.slice());
  const vectors = a.map((_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 50; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) {
      for (let q = 0; q < p; q++) off = Math.max(off, a[p][q] ** 2 / (a[p][p] * a[q][q] || Infinity));
    }
    if (off < 1e-30) break;
    for (let p = 1; p < n; p++) for (let q = 0; q < p; q++) rotate(a, vectors, p, q);
  }
  return { diagonal: Float64Array.from(a, (row, k) => row[k]), vectors };
}

/** One Jacobi rotation that annihilates a[p][q]. */
function rotate(a: Float64Array[], vectors: Float64Array[], p: number, q: number): void {
  if (a[p][q] === 0) return;
  const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1), s = t * c;
  for (let k = 0; k < a.length; k++) {
    const kp = a[k][p], kq = a[k][q];
    a[k][p] = c * kp - s * kq;
    a[k][q] = s * kp + c * kq;
  }
  for (let k = 0; k < a.length; k++) {
    const pk = a[p][k], qk = a[q][k];
    a[p][k] = c * pk - s * qk;
    a[q][k] = s * pk + c * qk;
    const vp = vectors[k][p], vq = vectors[k][q];
    vectors[k][p] = c * vp - s * vq;
    vectors[k][q] = s * vp + c * vq;
  }
}
