/**
 * Reference of the classification by nearest neighbours: all similarities one after another, in float64.
 *
 * @module
 */

import type { LabelledFeatures, NeighbourOptions } from "../../lib/evaluation/nearest_neighbours.ts";

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

/** The class of each query that gets most votes; of equal ones the lowest class counts. */
export function neighbourClasses(
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  { numClasses, neighbours = 20, temperature = 0.07 }: NeighbourOptions,
): number[] {
  const size = bank.labels.length, count = queries.labels.length;
  const width = bank.features.length / size;
  const known = unitRows(bank.features, width), asked = unitRows(queries.features, width);
  const k = Math.min(neighbours, size);
  const similarities = new Float64Array(k), places = new Uint32Array(k);
  const classes: number[] = [];
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
    classes.push(votes.indexOf(Math.max(...votes)));
  }
  return classes;
}
