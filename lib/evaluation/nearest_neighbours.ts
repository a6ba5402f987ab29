/**
 * Classification by the nearest neighbours among labelled features, weighted by similarity (Wu et al., arXiv 1805.01978).
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
function unitRows(features: Float32Array, width: number): Float32Array {
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
 * Share of the queries whose class gets most votes, 0 to 1; of equal ones the lowest class counts.
 *
 * @throws TypeError where features are of another width or number than labels say
 * @throws RangeError where there is nothing to compare
 */
export function neighbourAccuracy(
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  { numClasses, neighbours = 20, temperature = 0.07 }: NeighbourOptions,
): number {
  const size = bank.labels.length, count = queries.labels.length;
  if (size === 0 || count === 0 || neighbours < 1) {
    throw new RangeError(
      `Cannot find ${neighbours} neighbours of ${count} examples among ${size}: at least one of each is required`,
    );
  }
  const width = bank.features.length / size;
  if (!Number.isInteger(width) || queries.features.length !== width * count) {
    throw new TypeError(
      `Cannot compare features: found ${bank.features.length} numbers of ${size} examples and ` +
        `${queries.features.length} of ${count}, but rows of one width are required`,
    );
  }
  const known = unitRows(bank.features, width), asked = unitRows(queries.features, width);
  const k = Math.min(neighbours, size);
  const similarities = new Float64Array(k), places = new Uint32Array(k);
  let right = 0;
  for (let query = 0; query < count; query++) {
    similarities.fill(-Infinity);
    for (let other = 0; other < size; other++) {
      let similarity = 0;
      for (let i = 0, a = query * width, b = other * width; i < width; i++) similarity += asked[a + i] * known[b + i];
      if (similarity <= similarities[k - 1]) continue;
      let place = k - 1;
      for (; place > 0 && similarities[place - 1] < similarity; place--) {
        similarities[place] = similarities[place - 1];
        places[place] = places[place - 1];
      }
      similarities[place] = similarity;
      places[place] = other;
    }
    const votes = new Float64Array(numClasses);
    // Relative to the nearest: exp(1 / 0.07) alone is 1.6e6.
    similarities.forEach((similarity, i) =>
      votes[bank.labels[places[i]]] += Math.exp((similarity - similarities[0]) / temperature)
    );
    if (votes.indexOf(Math.max(...votes)) === queries.labels[query]) right++;
  }
  return right / count;
}
