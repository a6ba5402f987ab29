/**
 * Reference of `placeImages` for one image, bytes to bytes: what a draw of an augmentation makes of it. Padding is black
 * and comes before normalisation, as in torchvision.
 *
 * @module
 */

import {
  type Augmentation,
  type AugmentationKey,
  drawPlacement,
  type ImageSize,
  type Placement,
} from "../../lib/data/augment.ts";
import { type Fit, fitImage } from "../../lib/data/fit.ts";
import { type Box, resizeImage, type RgbImage } from "../../lib/data/resize.ts";
import { turnOf } from "../../lib/data/rotate.ts";

/** The image after its preparation: see `preparationOf`. */
export function prepareImage(image: RgbImage, preparation: Fit | undefined): RgbImage {
  if (preparation === undefined) return image;
  const { size } = preparation;
  return { height: size, width: size, rgb: fitImage(image, preparation) };
}

/**
 * Writes an image that was prepared for its augmentation by {@linkcode prepareImage}, augmented, into `out` from
 * `offset` on.
 *
 * @param size of the result
 */
export function augmentPrepared(
  image: RgbImage,
  size: ImageSize,
  augmentation: Augmentation,
  key: AugmentationKey,
  out: Uint8Array,
  offset = 0,
): void {
  const placement = drawPlacement(image, size, augmentation, key);
  if (augmentation.kind === "resized-crop") {
    resizeImage(image, size.width, size.height, { box: placement.box, out, offset });
  } else {
    const source = augmentation.kind === "rotated-crop" ? rotateImage(image, placement.angle) : image;
    const { left, top } = placement, { height, width } = size;
    copyWindow(source, { left, top, height, width }, out, offset);
  }
  flip(out, size, placement, offset);
}

/** Turns an image anticlockwise by an angle in degrees; its size stays. */
export function rotateImage(image: RgbImage, degrees: number): RgbImage {
  const { width, height, rgb } = image, { cos, sin, back, ...turn } = turnOf(image, degrees);
  const out = new Uint8Array(rgb.length);
  let rowX = turn.x, rowY = turn.y;
  for (let row = 0, target = 0; row < height; row++, rowX += sin, rowY += cos) {
    for (let column = 0, x = rowX, y = rowY; column < width; column++, target += 3, x += cos, y += back) {
      const left = x >> 16, top = y >> 16;
      if (left < 0 || left >= width || top < 0 || top >= height) continue;
      const from = (top * width + left) * 3;
      out[target] = rgb[from];
      out[target + 1] = rgb[from + 1];
      out[target + 2] = rgb[from + 2];
    }
  }
  return { width, height, rgb: out };
}

function flip(out: Uint8Array, size: ImageSize, { horizontalFlip, verticalFlip }: Placement, offset: number): void {
  if (horizontalFlip) mirror(out, size, offset);
  if (verticalFlip) turnUpsideDown(out, size, offset);
}

/** Copies a window that may reach beyond the image; pixels outside are black. */
function copyWindow(image: RgbImage, { left, top, width, height }: Box, out: Uint8Array, offset: number): void {
  const firstColumn = Math.min(width, Math.max(0, -left)),
    endColumn = Math.max(firstColumn, Math.min(width, image.width - left));
  out.fill(0, offset, offset + height * width * 3);
  for (let row = Math.max(0, -top); row < Math.min(height, image.height - top); row++) {
    const start = ((row + top) * image.width + left) * 3;
    out.set(
      image.rgb.subarray(start + firstColumn * 3, start + endColumn * 3),
      offset + (row * width + firstColumn) * 3,
    );
  }
}

/** Mirrors left to right, in place. */
function mirror(pixels: Uint8Array, { height, width }: ImageSize, offset: number): void {
  for (let row = 0; row < height; row++) {
    let left = offset + row * width * 3, right = left + (width - 1) * 3;
    for (; left < right; left += 3, right -= 3) {
      for (let channel = 0; channel < 3; channel++) {
        const byte = pixels[left + channel];
        pixels[left + channel] = pixels[right + channel];
        pixels[right + channel] = byte;
      }
    }
  }
}

/** Mirrors top to bottom, in place. */
function turnUpsideDown(pixels: Uint8Array, { height, width }: ImageSize, offset: number): void {
  const stride = width * 3;
  for (let top = offset, bottom = offset + (height - 1) * stride; top < bottom; top += stride, bottom -= stride) {
    const row = pixels.slice(top, top + stride);
    pixels.copyWithin(top, bottom, bottom + stride);
    pixels.set(row, bottom);
  }
}
