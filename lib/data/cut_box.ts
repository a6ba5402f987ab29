/**
 * The part of a whole image that goes to the device to be resized there.
 *
 * @module
 */

import type { ImageSize, Placement } from "./augment.ts";
import type { SourceSize } from "./augmentation/placements.ts";
import { copyBox } from "./fit.ts";
import type { Filter } from "./resample_weights.ts";
import { resizeImage, type RgbImage } from "./resize.ts";

/** How many times as long as the result's a side may be of what goes to the device. */
const LONGEST = 2;

/**
 * The largest box that goes to the device for results of that size: twice their sides. Then the bytes of a batch, and the
 * pixels that its rows make on the way, take no more memory than the first activation does.
 */
export function largestBox({ height, width }: ImageSize): SourceSize {
  return { height: LONGEST * height, width: LONGEST * width, packed: true };
}

/**
 * Cuts the box of a placement out of an image: its bytes go to the device, which resizes them. A box that is larger than
 * {@linkcode largestBox} is resized here, and the device resizes the result to its own size, which changes nothing: both
 * make the same bytes, so that it does not matter which of them did it.
 *
 * @param size of the result
 * @param filter by which the device resizes
 * @returns the box as an image of its own
 */
export function cutBox(
  image: RgbImage,
  size: ImageSize,
  { box }: Pick<Placement, "box">,
  filter: Filter = "bilinear",
): RgbImage {
  const largest = largestBox(size);
  if (box.height > largest.height || box.width > largest.width) {
    return { ...size, rgb: resizeImage(image, size.width, size.height, { box, filter }) };
  }
  const rgb = new Uint8Array(box.height * box.width * 3);
  copyBox(image, box, rgb, 0);
  return { height: box.height, width: box.width, rgb };
}
