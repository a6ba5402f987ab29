/**
 * The view of CIFAR-10 that objectives without labels are measured with.
 *
 * @module
 */

import type { View } from "../../lib/data/augmentation/view.ts";

/** SimCLR's for small images: crop, flip, colours and grey, without blur. */
export const VIEW: View = {
  height: 32,
  width: 32,
  resize: { kind: "random-resized-crop", scale: [0.2, 1], ratio: [3 / 4, 4 / 3], filter: "bicubic" },
  horizontalFlip: 0.5,
  jitter: { probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
  grey: 0.2,
};
