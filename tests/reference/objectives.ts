/**
 * References of the losses of self-supervised learning, as their papers state them, in float64.
 *
 * @module
 */

import { Matrix } from "./tape.ts";

/** What a loss is computed from, by name, and its constants. */
export type LossTwin = (operands: Readonly<Record<string, Matrix>>, config: Readonly<Record<string, number>>) => Matrix;

/** Chen et al., arXiv 2002.05709, equation 1, over all positive pairs (i, j) and (j, i). */
const simclr: LossTwin = ({ z }, { temperature }) => {
  const unit = z.normalise(), half = z.rows / 2;
  const similarities = unit.product(unit.transpose()).scale(1 / temperature);
  const others = Matrix.make(z.rows, z.rows, (i, k) => i === k ? 0 : 1);
  const positive = Matrix.make(z.rows, z.rows, (i, k) => k === (i + half) % z.rows ? 1 : 0);
  const numerators = similarities.times(positive).sumRows();
  const denominators = similarities.exp().times(others).sumRows();
  return denominators.log().minus(numerators).mean();
};

/** By the name of the objective. */
export const LOSS_TWINS: Readonly<Record<string, LossTwin>> = { simclr };
