/**
 * Classification by the nearest neighbours among labelled features, weighted by similarity (Wu et al., arXiv 1805.01978):
 * what is left to do once similarities are known in float32.
 *
 * @module
 */

/** Features and the classes that they belong to. */
export interface LabelledFeatures {
  /** [n, width]. */
  readonly features: Float32Array;
  /** [n]. */
  readonly labels: Uint32Array;
}

/** How neighbours vote. */
export interface NeighbourOptions {
  readonly numClasses: number;
  /** Neighbours that vote; default 20. */
  readonly neighbours?: number;
  /** A neighbour of cosine similarity s has weight exp(s / temperature); default 0.07. */
  readonly temperature?: number;
}

/** Rows of unit length; rows of zeros stay. */
export function unitRows(features: Float32Array, width: number): Float32Array<ArrayBuffer> {
  const unit = features.slice();
  for (let start = 0; start < unit.length; start += width) {
    let squares = 0;
    for (let i = start; i < start + width; i++) squares += unit[i] * unit[i];
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let i = start; i < start + width; i++) unit[i] *= scale;
  }
  return unit;
}

/**
 * How far a product of two unit rows may be from what it is in float32, in whatever order its terms are summed: each of
 * `width` roundings is off by at most 2^-24 of the sum of all magnitudes, which is at most 1 (Higham, "Accuracy and
 * Stability of Numerical Algorithms", 2002, section 3.1). Two more terms pay for rows that are themselves rounded.
 */
function roundingBound(width: number): number {
  return (width + 2) * 2 ** -24;
}

/** Examples that may be among the nearest of each of some queries, by similarities in float32. */
export class Shortlist {
  readonly #width: number;
  readonly #neighbours: number;
  /** The largest similarities of each query so far, falling, [queries, neighbours]. */
  readonly #largest: Float32Array;
  /** What is less cannot be among the nearest, [queries]. */
  readonly #floors: Float64Array;
  readonly #places: number[][];
  readonly #similarities: number[][];

  constructor(queries: number, width: number, neighbours: number) {
    this.#width = width;
    this.#neighbours = neighbours;
    this.#largest = new Float32Array(queries * neighbours).fill(-Infinity);
    this.#floors = new Float64Array(queries).fill(-Infinity);
    this.#places = Array.from({ length: queries }, () => []);
    this.#similarities = Array.from({ length: queries }, () => []);
  }

  /**
   * Takes the similarities of the example at a place to all queries. One that is no number is passed over.
   *
   * @param similarities [queries, ...]
   */
  offer(place: number, similarities: Float32Array): void {
    const floors = this.#floors;
    for (let query = 0; query < floors.length; query++) {
      if (similarities[query] >= floors[query]) this.#keep(query, place, similarities[query]);
    }
  }

  #keep(query: number, place: number, similarity: number): void {
    this.#places[query].push(place);
    this.#similarities[query].push(similarity);
    const first = query * this.#neighbours, last = first + this.#neighbours - 1, largest = this.#largest;
    if (similarity <= largest[last]) return;
    let at = last;
    for (; at > first && largest[at - 1] < similarity; at--) largest[at] = largest[at - 1];
    largest[at] = similarity;
    // The last of the nearest is at least so similar less one rounding error, and seems to be so less another one.
    this.#floors[query] = largest[last] - 2 * roundingBound(this.#width);
  }

  /** Places of what a query's nearest neighbours are among. */
  candidates(query: number): number[] {
    return this.#places[query].filter((_, i) => this.#similarities[query][i] >= this.#floors[query]);
  }
}

/** An example and its similarity to a query. */
export interface Neighbour {
  readonly place: number;
  readonly similarity: number;
}

/**
 * The nearest of some candidates by similarities in float64; of equally similar ones the first.
 *
 * @param query [width]: of unit length
 * @param known [n, width]: of unit length
 */
export function nearestOf(
  query: Float32Array,
  known: Float32Array,
  candidates: readonly number[],
  neighbours: number,
): Neighbour[] {
  const found = candidates.map((place) => {
    let similarity = 0;
    for (let i = 0, at = place * query.length; i < query.length; i++) similarity += query[i] * known[at + i];
    return { place, similarity };
  });
  return found.sort((a, b) => b.similarity - a.similarity || a.place - b.place).slice(0, neighbours);
}

/** The class that gets most votes, of equal ones the lowest; `numClasses` where there are no neighbours. */
export function vote(
  neighbours: readonly Neighbour[],
  labels: Uint32Array,
  { numClasses, temperature = 0.07 }: NeighbourOptions,
): number {
  if (neighbours.length === 0) return numClasses;
  const votes = new Float64Array(numClasses), [nearest] = neighbours;
  for (const { place, similarity } of neighbours) {
    // Relative to the nearest: exp(1 / 0.07) alone is 1.6e6.
    votes[labels[place]] += Math.exp((similarity - nearest.similarity) / temperature);
  }
  return votes.indexOf(Math.max(...votes));
}
