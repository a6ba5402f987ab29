/**
 * Augmentation on the host, bytes to bytes: for images of any size, on the threads that decode them. Padding is black
 * and comes before normalisation, as in torchvision.
 *
 * @module
 */

import { type Augmentation, type AugmentationKey, drawPlacement, type ImageSize, type Placement } from "./augment.ts";
import { type Fit, fitImage } from "./fit.ts";
import { type Box, resizeImage, type RgbImage } from "./resize.ts";
import { rotateImage } from "./rotate.ts";

/** The image after its preparation: see {@linkcode preparationOf}. */
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
