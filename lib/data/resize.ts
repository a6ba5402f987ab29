/**
 * Bilinear and bicubic resizing with antialiasing: Pillow's, which torchvision applies to images that are not tensors.
 *
 * Each output pixel is a weighted mean under the filter's curve, widened by the scale where an image shrinks. As in
 * Pillow, the horizontal pass rounds to bytes before the vertical one and weights are fixed-point with 22 bits, so that
 * results agree to the last bit.
 *
 * @module
 */

import { type Filter, type ResampleWeights, resampleWeights, WEIGHT_BITS } from "./resample_weights.ts";

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

const HALF = 1 << (WEIGHT_BITS - 1);

/** What part is resized, how, and where to. */
export interface ResizeOptions {
  /** The part; default all of the image. */
  readonly box?: Box;
  /** Default `"bilinear"`. */
  readonly filter?: Filter;
  /** Where the `height * width * 3` bytes go; default a new array. */
  readonly out?: Uint8Array;
  /** Index of the first byte in `out`; default 0. */
  readonly offset?: number;
}

/** Resizes an image, or the part of it inside `box`, to `width` x `height`; returns `out`. */
export function resizeImage(
  image: RgbImage,
  width: number,
  height: number,
  { box, filter = "bilinear", out = new Uint8Array(width * height * 3), offset = 0 }: ResizeOptions = {},
): Uint8Array {
  const { left, top, width: fromWidth, height: fromHeight } = box ?? { left: 0, top: 0, ...image };
  const columns = new Uint8Array(fromHeight * width * 3);
  resizeRows(
    image,
    { left, top, width: fromWidth, height: fromHeight },
    resampleWeights(fromWidth, width, filter),
    columns,
  );
  resizeColumns(columns, width * 3, resampleWeights(fromHeight, height, filter), out, offset);
  return out;
}

function resizeRows({ width, rgb }: RgbImage, box: Box, weights: ResampleWeights, out: Uint8Array): void {
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
function resizeColumns(
  columns: Uint8Array,
  stride: number,
  weights: ResampleWeights,
  out: Uint8Array,
  offset: number,
): void {
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
  const byte = value >> WEIGHT_BITS;
  return byte > 255 ? 255 : byte < 0 ? 0 : byte;
}
