/**
 * Rotation about an image's centre, nearest pixel: torchvision's `RandomRotation` as it stands by default, which is
 * Pillow's `Image.rotate`, fixed-point with 16 bits like it. What lies outside the image is black.
 *
 * @module
 */

import type { ImageSize } from "./augment.ts";

/**
 * Which pixel of an image each pixel of the turned one is: column `(x + row * sin + column * cos) >> 16` and row
 * `(y + row * cos + column * back) >> 16`, in 16-bit fixed point.
 */
export interface Turn {
  readonly x: number;
  readonly y: number;
  readonly cos: number;
  readonly sin: number;
  /** That of -sin, which may be rounded otherwise. */
  readonly back: number;
}

/** The turn of an image of that size, anticlockwise, by an angle in degrees. */
export function turnOf({ width, height }: ImageSize, degrees: number): Turn {
  const angle = -(degrees * Math.PI) / 180;
  // Pillow rounds the coefficients so that right angles are exact.
  const cos = Number(Math.cos(angle).toFixed(15)), sin = Number(Math.sin(angle).toFixed(15));
  const centreX = width / 2, centreY = height / 2;
  const firstX = centreX - cos * centreX - sin * centreY, firstY = centreY + sin * centreX - cos * centreY;
  return {
    x: fixed(firstX + cos / 2 + sin / 2),
    y: fixed(firstY - sin / 2 + cos / 2),
    cos: fixed(cos),
    sin: fixed(sin),
    back: fixed(-sin),
  };
}

function fixed(value: number): number {
  return Math.floor(value * 65536 + 0.5);
}
