/**
 * Frequent Directions (Liberty, "Simple and deterministic matrix sketching", KDD 2013; Ghashami, Liberty, Phillips and
 * Woodruff, SIAM J. Comput. 2016): a few rows that stand for all rows of a stream.
 *
 * @module
 */

import { symmetricEigen } from "../eigen.ts";
import { combineRows, gramMatrix } from "../rows.ts";

/** All that a sketch needs to go on. */
export interface SketchState {
  /** Orthogonal rows of [P], largest first. */
  readonly rows: readonly Float32Array[];
  /** Delta: what all shrinking took from each direction's square at most. */
  readonly shrunk: number;
}

/**
 * A sketch B of at most l rows of a stream A: B^T B is at most A^T A in every direction, and at least A^T A - Delta I.
 * For every k <= l, Delta (l + 1 - k) is at most the squared Frobenius norm of what the best rank k leaves of A. While
 * the stream's rank is at most l, the sketch is exact. Memory: l rows and those appended at once.
 */
export class FrequentDirections {
  readonly #size: number;
  #state: SketchState;

  /** An empty sketch of at most `size` rows, or one that goes on from a state. */
  constructor(size: number, state: SketchState = { rows: [], shrunk: 0 }) {
    this.#size = size;
    this.#state = state;
  }

  /** The sketch so far. */
  get state(): SketchState {
    return this.#state;
  }

  /**
   * Adds rows: rotates sketch and new rows together to orthogonal ones, and takes the square of the one behind the last
   * that is kept from the square of each.
   */
  append(added: readonly Float32Array[]): void {
    const rows = [...this.#state.rows, ...added];
    if (rows.length === 0) return;
    const { values, vectors } = symmetricEigen(gramMatrix(rows));
    const shrink = values[this.#size] ?? 0;
    const kept: Float32Array[] = [];
    for (let k = 0; k < this.#size && values[k] > shrink; k++) {
      const scale = Math.sqrt((values[k] - shrink) / values[k]);
      kept.push(combineRows(rows, vectors.map((vector) => scale * vector[k])));
    }
    this.#state = { rows: kept, shrunk: this.#state.shrunk + shrink };
  }
}
