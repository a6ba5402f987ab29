/**
 * A factor's principal components: the fewest rows that keep most of its covariance.
 *
 * @module
 */

import { symmetricEigen } from "../eigen.ts";
import { combineRows, gramMatrix } from "../rows.ts";
import { minkaRank } from "./minka.ts";

/** How many components to keep: a number, or the one of largest evidence. */
export type PcaRank = number | "mle";

/** Orthogonal rows, largest first, and what they leave out. */
export interface Components {
  /** k rows of [P]. */
  readonly rows: readonly Float32Array[];
  /** All eigenvalues of Q^T Q that may differ from zero, largest first; the first k are the rows' squared norms. */
  readonly spectrum: Float64Array;
}

/** Eigenvalues below this share of the largest are rounding: directions that float32 rows do not have. */
const ROUNDING = 1e-12;

/**
 * Rows R = U^T Q, U the first k eigenvectors of the K x K Gram matrix Q Q^T: of all factors of k rows the one whose R^T R
 * is nearest to Q^T Q, in the Frobenius and in the spectral norm (Eckart and Young). The error is Q^T Q's next
 * eigenvalue. The rows are not centred: SWAG's deviations are from a mean already.
 *
 * With the rank `mle`, Minka's evidence chooses among 1 to K - 1: each of the P weights is a draw of K values, one from
 * each row. The other way about, K draws of P values, the evidence cannot choose: with fewer draws than values it grows
 * without bound towards the last rank, and scikit-learn refuses it. With P in the millions even faint structure is
 * significant, so that the rank chosen is seldom much below K - 1.
 */
export function principalComponents(rows: readonly Float32Array[], rank: PcaRank): Components {
  if (rows.length === 0) return { rows, spectrum: new Float64Array(0) };
  const { values, vectors } = symmetricEigen(gramMatrix(rows));
  const significant = values.filter((value) => value > ROUNDING * values[0]);
  const wanted = rank === "mle" ? minkaRank(values, rows[0].length) : rank;
  const kept = Math.min(wanted, significant.length);
  return {
    rows: Array.from({ length: kept }, (_, k) => combineRows(rows, vectors.map((vector) => vector[k]))),
    spectrum: significant,
  };
}
