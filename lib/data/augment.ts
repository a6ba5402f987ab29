/**
 * Random changes to training images, bytes to bytes.
 *
 * What happens to an example is a function of (seed, epoch, example), so a resumed run sees the same images as one that
 * was never interrupted. Padding is black and comes before normalisation, as in torchvision.
 *
 * @module
 */

import { PhiloxSequence, Stream } from "../random/philox.ts";
import { type Box, resizeBilinear } from "./resize.ts";

/** What is done to a training image. */
export type Augmentation =
  | { readonly kind: "none" }
  /** Mirrors half of the images left to right. */
  | { readonly kind: "flip" }
  /** Pads by `padding` black pixels on every side, cuts out a window of the original size, then flips if `flip`. */
  | { readonly kind: "crop"; readonly padding: number; readonly flip: boolean }
  /**
   * Cuts out a window of random area (a share of the image within `scale`) and aspect ratio (within `ratio`) and
   * resizes it to the original size, then flips if `flip`.
   */
  | {
    readonly kind: "resized-crop";
    readonly scale: readonly [number, number];
    readonly ratio: readonly [number, number];
    readonly flip: boolean;
  };

/** Names of {@linkcode AUGMENTATIONS}. */
export type AugmentationName = "none" | "flip" | "crop" | "resized-crop";

/** The usual choices: `crop` is CIFAR's (padding 4), `resized-crop` ImageNet's. */
export const AUGMENTATIONS: Readonly<Record<AugmentationName, Augmentation>> = {
  "none": { kind: "none" },
  "flip": { kind: "flip" },
  "crop": { kind: "crop", padding: 4, flip: true },
  "resized-crop": { kind: "resized-crop", scale: [0.08, 1], ratio: [3 / 4, 4 / 3], flip: true },
};

/** Attempts at a window that fits before the largest central one is taken; torchvision's number. */
const CROP_ATTEMPTS = 10;

/** Rows and columns of an image. */
export interface ImageSize {
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
}

/** Which draw an augmentation uses. */
export interface AugmentationKey {
  /** Seed of the run. */
  readonly seed: number;
  /** Pass over the training set, from 0. */
  readonly epoch: number;
  /** Index of the example in its set. */
  readonly example: number;
}

/**
 * Writes the augmented image into `out` from `offset` on.
 *
 * @param image `[height, width, 3]` pixels; not changed
 */
export function augmentImage(
  image: Uint8Array,
  { height, width }: ImageSize,
  augmentation: Augmentation,
  { seed, epoch, example }: AugmentationKey,
  out: Uint8Array,
  offset = 0,
): void {
  if (augmentation.kind === "none") {
    out.set(image, offset);
    return;
  }
  const random = new PhiloxSequence(seed, Stream.augmentation, epoch, example);
  switch (augmentation.kind) {
    case "flip":
      out.set(image, offset);
      break;
    case "crop": {
      const left = random.below(2 * augmentation.padding + 1) - augmentation.padding;
      const top = random.below(2 * augmentation.padding + 1) - augmentation.padding;
      copyWindow(image, { left, top, width, height }, out, offset);
      break;
    }
    case "resized-crop": {
      const box = drawBox({ height, width }, augmentation.scale, augmentation.ratio, random);
      resizeBilinear({ width, height, rgb: image }, width, height, { box, out, offset });
    }
  }
  if ((augmentation.kind === "flip" || augmentation.flip) && (random.uint32() & 1) === 1) {
    mirror(out, { height, width }, offset);
  }
}

/** Copies a window that may reach beyond the image; pixels outside are black. */
function copyWindow(image: Uint8Array, { left, top, width, height }: Box, out: Uint8Array, offset: number): void {
  const firstColumn = Math.min(width, Math.max(0, -left)),
    endColumn = Math.max(firstColumn, Math.min(width, width - left));
  out.fill(0, offset, offset + height * width * 3);
  for (let row = Math.max(0, -top); row < Math.min(height, height - top); row++) {
    const start = ((row + top) * width + left) * 3;
    out.set(
      image.subarray(start + firstColumn * 3, start + endColumn * 3),
      offset + (row * width + firstColumn) * 3,
    );
  }
}

/** The window of a random resized crop, as torchvision's `RandomResizedCrop` draws it. */
export function drawBox(
  { height, width }: ImageSize,
  scale: readonly [number, number],
  ratio: readonly [number, number],
  random: PhiloxSequence,
): Box {
  const logRatio = [Math.log(ratio[0]), Math.log(ratio[1])];
  for (let attempt = 0; attempt < CROP_ATTEMPTS; attempt++) {
    const area = height * width * (scale[0] + (scale[1] - scale[0]) * random.uniform());
    const aspect = Math.exp(logRatio[0] + (logRatio[1] - logRatio[0]) * random.uniform());
    const boxWidth = Math.round(Math.sqrt(area * aspect)), boxHeight = Math.round(Math.sqrt(area / aspect));
    if (boxWidth >= 1 && boxWidth <= width && boxHeight >= 1 && boxHeight <= height) {
      return {
        left: random.below(width - boxWidth + 1),
        top: random.below(height - boxHeight + 1),
        width: boxWidth,
        height: boxHeight,
      };
    }
  }
  return centralBox({ height, width }, ratio);
}

/** The largest central window whose aspect ratio is allowed. */
function centralBox({ height, width }: ImageSize, ratio: readonly [number, number]): Box {
  const aspect = Math.min(Math.max(width / height, ratio[0]), ratio[1]);
  const boxWidth = Math.max(1, Math.min(width, Math.round(height * aspect)));
  const boxHeight = Math.max(1, Math.min(height, Math.round(width / aspect)));
  return {
    left: (width - boxWidth) >> 1,
    top: (height - boxHeight) >> 1,
    width: boxWidth,
    height: boxHeight,
  };
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
