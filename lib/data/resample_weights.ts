/**
 * The weights of Pillow's antialiased resizing along one axis, in its fixed point.
 *
 * @module
 */

/** How far an output pixel reaches, and with which weights. */
export type Filter = "bilinear" | "bicubic";

/** Fractional bits of a weight. */
export const WEIGHT_BITS = 22;

/** For each output position: the first input position and its weights. */
export interface ResampleWeights {
  /** Weights that a position has room for. */
  readonly taps: number;
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `[output, taps]`, fixed-point */
  readonly values: Int32Array;
}

/** Keys' cubic convolution has a free constant; Pillow's is -0.5. */
const CUBIC = -0.5;

/** Half-width of a filter in pixels, and its value at a distance, in the order in which Pillow computes it. */
const FILTERS: Readonly<Record<Filter, { readonly support: number; at(distance: number): number }>> = {
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - x) },
  bicubic: {
    support: 2,
    at(x) {
      if (x < 1) return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * CUBIC : 0;
    },
  },
};

/** Most weights that a position has when `from` pixels become `to`. */
export function tapsOf(from: number, to: number, filter: Filter): number {
  return Math.ceil(FILTERS[filter].support * Math.max(from / to, 1)) * 2 + 1;
}

/** The weights that make `to` pixels from `from`. Where an image shrinks, the filter is as much wider. */
export function resampleWeights(from: number, to: number, filter: Filter): ResampleWeights {
  const scale = from / to, stretch = Math.max(scale, 1);
  const support = FILTERS[filter].support * stretch;
  const taps = tapsOf(from, to, filter);
  const first = new Int32Array(to), count = new Int32Array(to), values = new Int32Array(to * taps);
  const weights = new Float64Array(taps);
  for (let index = 0; index < to; index++) {
    const centre = (index + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let tap = 0; tap < end - start; tap++) {
      weights[tap] = FILTERS[filter].at(Math.abs((start + tap - centre + 0.5) * (1 / stretch)));
      sum += weights[tap];
    }
    let skipped = 0, last = end - start;
    while (weights[skipped] === 0) skipped++;
    while (weights[last - 1] === 0) last--;
    first[index] = start + skipped;
    count[index] = last - skipped;
    for (let tap = skipped; tap < last; tap++) {
      const weight = weights[tap] / sum * (1 << WEIGHT_BITS);
      values[index * taps + tap - skipped] = Math.trunc(weight + (weight < 0 ? -0.5 : 0.5));
    }
  }
  return { taps, first, count, values };
}
