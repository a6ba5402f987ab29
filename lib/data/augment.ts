/**
 * Random changes to training images, bytes to bytes.
 *
 * What happens to an example is a function of (seed, epoch, example), so a resumed run sees the same images as one that
 * was never interrupted. Padding is black and comes before normalisation, as in torchvision.
 *
 * @module
 */

import { PhiloxSequence, Stream } from "../random/philox.ts";
import { copyBox, type Fit, fitImage } from "./fit.ts";
import { type Box, resizeImage, type RgbImage } from "./resize.ts";
import { rotateImage } from "./rotate.ts";

/** What is done to a training image. */
export type Augmentation =
  | { readonly kind: "none" }
  /** Mirrors half of the images left to right. */
  | { readonly kind: "flip" }
  /** Pads by `padding` black pixels on every side, cuts out a window of the original size, then flips if `flip`. */
  | { readonly kind: "crop"; readonly padding: number; readonly flip: boolean }
  /**
   * Cuts out a window of random area (a share of the image within `scale`) and aspect ratio (within `ratio`) and
   * resizes it to the final size, then flips if `flip`, upside down too if `verticalFlip`.
   */
  | {
    readonly kind: "resized-crop";
    readonly scale: readonly [number, number];
    readonly ratio: readonly [number, number];
    readonly flip: boolean;
    readonly verticalFlip?: boolean;
  }
  /**
   * Squashes the image to a square larger by `margin` (a share of the final size), turns it by up to `degrees` either
   * way, cuts out a window of the final size, then flips if `flip`, upside down too if `verticalFlip`.
   */
  | {
    readonly kind: "rotated-crop";
    readonly margin: number;
    readonly degrees: number;
    readonly flip: boolean;
    readonly verticalFlip?: boolean;
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
  size: ImageSize,
  augmentation: Augmentation,
  key: AugmentationKey,
  out: Uint8Array,
  offset = 0,
): void {
  const own = { ...size, rgb: image };
  const prepared = augmentation.kind === "rotated-crop" ? enlarge(own, size, augmentation.margin) : own;
  augmentPrepared(prepared, size, augmentation, key, out, offset);
}

/**
 * What is done to an image before anything random: it gets a size, or stays whole (`undefined`). What is cut out at
 * random is cut out of the whole image, as in torchvision, and the fit serves where nothing is.
 */
export function preparationOf(fit: Fit, augmentation: Augmentation): Fit | undefined {
  switch (augmentation.kind) {
    case "resized-crop":
      return undefined;
    case "rotated-crop":
      return { size: enlarged(fit.size, augmentation.margin), resize: "squash" };
    default:
      return fit;
  }
}

/** The image after its preparation. */
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
  { seed, epoch, example }: AugmentationKey,
  out: Uint8Array,
  offset = 0,
): void {
  if (augmentation.kind === "none") {
    out.set(image.rgb, offset);
    return;
  }
  const { height, width } = size;
  const random = new PhiloxSequence(seed, Stream.augmentation, epoch, example);
  switch (augmentation.kind) {
    case "flip":
      out.set(image.rgb, offset);
      break;
    case "crop": {
      const left = random.below(2 * augmentation.padding + 1) - augmentation.padding;
      const top = random.below(2 * augmentation.padding + 1) - augmentation.padding;
      copyWindow(image.rgb, { left, top, width, height }, out, offset);
      break;
    }
    case "resized-crop": {
      const box = drawBox(image, augmentation.scale, augmentation.ratio, random);
      resizeImage(image, width, height, { box, out, offset });
      break;
    }
    case "rotated-crop": {
      const rotated = rotateImage(image, augmentation.degrees * (2 * random.uniform() - 1));
      const left = random.below(image.width - width + 1), top = random.below(image.height - height + 1);
      copyBox(rotated, { left, top, width, height }, out, offset);
    }
  }
  if ((augmentation.kind === "flip" || augmentation.flip) && coin(random)) mirror(out, size, offset);
  if ("verticalFlip" in augmentation && augmentation.verticalFlip && coin(random)) turnUpsideDown(out, size, offset);
}

/** Squashes an image to a size larger by `margin`. */
function enlarge(image: RgbImage, size: ImageSize, margin: number): RgbImage {
  const height = enlarged(size.height, margin), width = enlarged(size.width, margin);
  return { height, width, rgb: resizeImage(image, width, height) };
}

function enlarged(length: number, margin: number): number {
  return Math.round(length * (1 + margin));
}

function coin(random: PhiloxSequence): boolean {
  return (random.uint32() & 1) === 1;
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

/** Mirrors top to bottom, in place. */
function turnUpsideDown(pixels: Uint8Array, { height, width }: ImageSize, offset: number): void {
  const stride = width * 3;
  for (let top = offset, bottom = offset + (height - 1) * stride; top < bottom; top += stride, bottom -= stride) {
    const row = pixels.slice(top, top + stride);
    pixels.copyWithin(top, bottom, bottom + stride);
    pixels.set(row, bottom);
  }
}
