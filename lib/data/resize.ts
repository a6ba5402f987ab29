/**
 * Bilinear and bicubic resizing with antialiasing: Pillow's, which torchvision applies to images that are not tensors.
 *
 * Each output pixel is a weighted mean under the filter's curve, widened by the scale where an image shrinks. As in
 * Pillow, the horizontal pass rounds to bytes before the vertical one and weights are fixed-point with 22 bits, so that
 * results agree to the last bit.
 *
 * @module
 */

/** A rectangle of pixels. */
export interface Box {
  /** Column of its first pixel. */
  readonly left: number;
  /** Row of its first pixel. */
  readonly top: number;
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
}

/** 8-bit RGB pixels, row-major, interleaved. */
export interface RgbImage {
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** `[height, width, 3]` */
  readonly rgb: Uint8Array;
}

/** How pixels between pixels are worked out. */
export type ResizeFilter = "bilinear" | "bicubic";

const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

/** A filter's curve over distances in input pixels, zero from `support` on. */
interface Curve {
  readonly support: number;
  readonly weight: (distance: number) => number;
}

/** Keys' cubic convolution has a free constant; Pillow's is -0.5. */
const CUBIC = -0.5;

const CURVES: Readonly<Record<ResizeFilter, Curve>> = {
  bilinear: { support: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
  bicubic: {
    support: 2,
    weight: (distance) => {
      const x = Math.abs(distance);
      if (x < 1) return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * CUBIC : 0;
    },
  },
};

/** What part is resized, how, and where to. */
export interface ResizeOptions {
  /** The part; default all of the image. */
  readonly box?: Box;
  /** Default `"bilinear"`. */
  readonly filter?: ResizeFilter;
  /** Where the `height * width * 3` bytes go; default a new array. */
  readonly out?: Uint8Array;
  /** Index of the first byte in `out`; default 0. */
  readonly offset?: number;
}

/** For each output position: the first input position and its weights. */
interface Weights {
  readonly taps: number;
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `[output, taps]`, fixed-point */
  readonly values: Int32Array;
}

/** Resizes an image, or the part of it inside `box`, to `width` x `height`; returns `out`. */
export function resizeImage(
  image: RgbImage,
  width: number,
  height: number,
  { box, filter = "bilinear", out = new Uint8Array(width * height * 3), offset = 0 }: ResizeOptions = {},
): Uint8Array {
  const curve = CURVES[filter];
  const { left, top, width: fromWidth, height: fromHeight } = box ?? { left: 0, top: 0, ...image };
  const columns = new Uint8Array(fromHeight * width * 3);
  const part = { left, top, width: fromWidth, height: fromHeight };
  resizeRows(image, part, filterWeights(curve, fromWidth, width), columns);
  resizeColumns(columns, width * 3, filterWeights(curve, fromHeight, height), out, offset);
  return out;
}

function filterWeights(curve: Curve, from: number, to: number): Weights {
  const scale = from / to, widening = Math.max(scale, 1);
  const support = curve.support * widening;
  const taps = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to), count = new Int32Array(to), values = new Int32Array(to * taps);
  const weights = new Float64Array(taps);
  for (let index = 0; index < to; index++) {
    const centre = (index + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let tap = 0; tap < end - start; tap++) {
      weights[tap] = curve.weight((start + tap - centre + 0.5) * (1 / widening));
      sum += weights[tap];
    }
    let skipped = 0, last = end - start;
    while (weights[skipped] === 0) skipped++;
    while (weights[last - 1] === 0) last--;
    first[index] = start + skipped;
    count[index] = last - skipped;
    for (let tap = skipped; tap < last; tap++) {
      const value = weights[tap] / sum * (1 << PRECISION);
      values[index * taps + tap - skipped] = Math.trunc(value + (value < 0 ? -0.5 : 0.5));
    }
  }
  return { taps, first, count, values };
}

function resizeRows({ width, rgb }: RgbImage, box: Box, weights: Weights, out: Uint8Array): void {
  const { taps, first, count, values } = weights;
  let target = 0;
  for (let row = 0; row < box.height; row++) {
    const start = ((box.top + row) * width + box.left) * 3;
    for (let index = 0; index < first.length; index++) {
      let red = HALF, green = HALF, blue = HALF, from = start + first[index] * 3;
      for (let tap = index * taps, end = tap + count[index]; tap < end; tap++, from += 3) {
        const weight = values[tap];
        red += rgb[from] * weight;
        green += rgb[from + 1] * weight;
        blue += rgb[from + 2] * weight;
      }
      out[target++] = clip(red);
      out[target++] = clip(green);
      out[target++] = clip(blue);
    }
  }
}

/** Sums whole rows tap by tap: memory is read in order, and most rows have but two taps when an image grows. */
function resizeColumns(columns: Uint8Array, stride: number, weights: Weights, out: Uint8Array, offset: number): void {
  const { taps, first, count, values } = weights;
  const sums = new Int32Array(stride);
  for (let index = 0, target = offset; index < first.length; index++, target += stride) {
    sums.fill(HALF);
    for (let tap = 0; tap < count[index]; tap++) {
      const weight = values[index * taps + tap], start = (first[index] + tap) * stride;
      for (let column = 0; column < stride; column++) sums[column] += columns[start + column] * weight;
    }
    for (let column = 0; column < stride; column++) out[target + column] = clip(sums[column]);
  }
}

/** Fixed point to a byte: a cubic overshoots, and rounded weights may sum to slightly more than one. */
function clip(value: number): number {
  const byte = value >> PRECISION;
  return byte > 255 ? 255 : byte < 0 ? 0 : byte;
}
