/**
 * Images of any size to squares of one size, as torchvision's evaluation transforms make them.
 *
 * @module
 */

import { MAX_PIXELS } from "./decode.ts";
import type { Filter } from "./resample_weights.ts";
import { type Box, resizeImage, type RgbImage } from "./resize.ts";

/**
 * How an image becomes square: `"squash"` is torchvision's `Resize((s, s))`; `"crop"` is `Resize(shortSide)`, which
 * keeps the aspect ratio, followed by `CenterCrop(s)`.
 */
export type ResizeMode = "squash" | "crop";

/** A size and the way to it. */
export interface Fit {
  /** Rows and columns of the result. */
  readonly size: number;
  /** How an image becomes square. */
  readonly resize: ResizeMode;
  /** For `"crop"`: length of the short side before cropping, at least `size`; default `size`. */
  readonly shortSide?: number;
  /** Default `"bilinear"`. */
  readonly filter?: Filter;
}

/**
 * Makes an image square: see {@linkcode ResizeMode}.
 *
 * @param out where the `[size, size, 3]` pixels go, from `offset`; a new array unless given
 * @throws {RangeError} if the sizes are impossible, or a long strip would grow past {@linkcode MAX_PIXELS}
 */
export function fitImage(
  image: RgbImage,
  fit: Fit,
  out: Uint8Array = new Uint8Array(fit.size * fit.size * 3),
  offset = 0,
): Uint8Array {
  checkFit(fit);
  const { size, resize, shortSide = size, filter } = fit;
  if (resize === "squash") return resizeImage(image, size, size, { filter, out, offset });
  const short = Math.min(image.width, image.height);
  const width = Math.trunc(shortSide * image.width / short), height = Math.trunc(shortSide * image.height / short);
  if (width * height > MAX_PIXELS) {
    throw new RangeError(
      `Cannot resize an image of ${image.width} x ${image.height} pixels to a short side of ${shortSide}: ` +
        `${width} x ${height} pixels would follow, at most ${MAX_PIXELS} are allowed: use the resize mode "squash"`,
    );
  }
  const left = roundHalfEven((width - size) / 2), top = roundHalfEven((height - size) / 2);
  const resized = { width, height, rgb: resizeImage(image, width, height, { filter }) };
  copyBox(resized, { left, top, width: size, height: size }, out, offset);
  return out;
}

/** Refuses sizes that no image can be fitted to. */
export function checkFit({ size, shortSide = size }: Fit): void {
  if (Number.isInteger(size) && size >= 1 && Number.isInteger(shortSide) && shortSide >= size) return;
  throw new RangeError(
    `Cannot resize images to ${size} pixels after a short side of ${shortSide}: ` +
      `a positive whole size and a short side no smaller are required`,
  );
}

/** Copies a part of an image, into `out` from `offset` on. */
export function copyBox({ width, rgb }: RgbImage, box: Box, out: Uint8Array, offset: number): void {
  for (let row = 0; row < box.height; row++) {
    const start = ((box.top + row) * width + box.left) * 3;
    out.set(rgb.subarray(start, start + box.width * 3), offset + row * box.width * 3);
  }
}

/** Python's `round`, by which torchvision places the crop. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + floor % 2 : Math.round(value);
}
