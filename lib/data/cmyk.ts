/**
 * Pixels of printing colours - cyan, magenta, yellow and black, inverted as Adobe stores them - as Pillow's
 * `convert("RGB")` shows them.
 *
 * @module
 */

import type { RgbaImage } from "./codecs.js";

/**
 * Puts an image together from two decodings.
 *
 * @param colours cyan, magenta and yellow as stored in red, green and blue; written over
 * @param black black as stored, in blue
 * @param transformed whether `colours` went through the transform from YCbCr, which leaves their complement
 */
export function fromCmyk(colours: RgbaImage, black: RgbaImage, transformed: boolean): RgbaImage {
  const data = colours.data;
  for (let at = 0; at < data.length; at += 4) {
    const light = black.data[at + 2];
    for (let channel = 0; channel < 3; channel++) {
      const ink = transformed ? data[at + channel] : 255 - data[at + channel];
      data[at + channel] = light - divideBy255(ink * light);
    }
  }
  return colours;
}

/** Rounded, as Pillow does it. */
function divideBy255(product: number): number {
  const sum = product + 128;
  return (sum + (sum >> 8)) >> 8;
}
