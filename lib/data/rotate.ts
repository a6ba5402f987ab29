/**
 * Rotation about an image's centre, nearest pixel: torchvision's `RandomRotation` as it stands by default, which is
 * Pillow's `Image.rotate`, fixed-point with 16 bits like it. What lies outside the image is black.
 *
 * @module
 */

import type { RgbImage } from "./resize.ts";

/** Turns an image anticlockwise by an angle in degrees; its size stays. */
export function rotateImage({ width, height, rgb }: RgbImage, degrees: number): RgbImage {
  const angle = -(degrees * Math.PI) / 180;
  // Pillow rounds the coefficients so that right angles are exact.
  const cos = Number(Math.cos(angle).toFixed(15)), sin = Number(Math.sin(angle).toFixed(15));
  const centreX = width / 2, centreY = height / 2;
  const firstX = centreX - cos * centreX - sin * centreY, firstY = centreY + sin * centreX - cos * centreY;
  const stepCos = fixed(cos), stepSin = fixed(sin), back = fixed(-sin);
  let rowX = fixed(firstX + cos / 2 + sin / 2), rowY = fixed(firstY - sin / 2 + cos / 2);
  const out = new Uint8Array(rgb.length);
  for (let row = 0, target = 0; row < height; row++, rowX += stepSin, rowY += stepCos) {
    for (let column = 0, x = rowX, y = rowY; column < width; column++, target += 3, x += stepCos, y += back) {
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

function fixed(value: number): number {
  return Math.floor(value * 65536 + 0.5);
}
