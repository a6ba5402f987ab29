/**
 * Reference of the inverses of Cholesky factors.
 *
 * @module
 */

import { cholesky } from "./cholesky.ts";
import { type Tensor, tensor } from "./tensor.ts";
import type { Twin } from "./twin.ts";

/** Each matrix of `t`, mapped to one of the same size. */
function mapMatrices(t: Tensor, fn: (matrix: Float64Array, index: number) => Float64Array): Tensor {
  const size = t.shape[t.shape.length - 1] ** 2, output = tensor(t.shape);
  for (let index = 0; index * size < t.data.length; index++) {
    output.data.set(fn(Float64Array.from(t.data.subarray(index * size, (index + 1) * size)), index), index * size);
  }
  return output;
}

function lowerInverse(lower: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let column = 0; column < size; column++) {
    for (let row = column; row < size; row++) {
      let sum = row === column ? 1 : 0;
      for (let k = column; k < row; k++) sum -= lower[row * size + k] * inverse[k * size + column];
      inverse[row * size + column] = sum / lower[row * size + row];
    }
  }
  return inverse;
}

/** What becomes of the symmetric part of the operand `a`. */
export const inverseCholesky: Twin = {
  forward({ a }) {
    const size = a.shape[a.shape.length - 1];
    return mapMatrices(a, (matrix) => {
      const symmetric = matrix.map((x, i) => (x + matrix[(i % size) * size + Math.floor(i / size)]) / 2);
      return lowerInverse(cholesky(symmetric, size), size);
    });
  },
  /** d(L^-1) = -L^-1 dL L^-1 and dL = L phi(L^-1 dA L^-T), with phi the lower triangle and half the diagonal. */
  backward(dOutput, { a }) {
    const size = a.shape[a.shape.length - 1], inverses = inverseCholesky.forward({ a }, {});
    return {
      a: mapMatrices(dOutput, (d, index) => {
        const w = inverses.data.subarray(index * size * size, (index + 1) * size * size);
        const gradient = new Float64Array(size * size);
        // By each element of A and its mirror image: the sum of d times the change of L^-1.
        for (let p = 0; p < size; p++) {
          for (let q = 0; q < size; q++) {
            // L^-1 dA L^-T for a change of (e_p e_q^T + e_q e_p^T) / 2, and -phi(that) L^-1 = d(L^-1).
            const phi = (i: number, j: number) =>
              i < j ? 0 : (w[i * size + p] * w[j * size + q] + w[i * size + q] * w[j * size + p]) / (i === j ? 4 : 2);
            for (let i = 0; i < size; i++) {
              for (let k = 0; k <= i; k++) {
                let change = 0;
                for (let j = k; j <= i; j++) change -= phi(i, j) * w[j * size + k];
                gradient[p * size + q] += d[i * size + k] * change;
              }
            }
          }
        }
        return gradient;
      }),
    };
  },
};
