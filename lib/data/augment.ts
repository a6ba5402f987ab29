/**
 * Random changes to training images: which there are, and how they are drawn.
 *
 * What happens to an example is a function of (seed, epoch, example), so a resumed run sees the same images as one that
 * was never interrupted. The device does it (`lib/ops/place_images.ts`); of streams, the threads that decode images draw
 * it, since it depends on an image's size.
 *
 * @module
 */

import { PhiloxSequence, Stream } from "../random/philox.ts";
import type { Fit } from "./fit.ts";
import type { Box } from "./resize.ts";

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

/** What becomes of one image: a draw of an {@linkcode Augmentation}. */
export interface Placement {
  /** Part of the image that is resized to the final size; where nothing is resized, the whole. */
  readonly box: Box;
  /** Rotation about the image's centre in degrees, anticlockwise. */
  readonly angle: number;
  /** First column of the window in the resized or rotated image; negative in the padding, which is black. */
  readonly left: number;
  /** First row of the window. */
  readonly top: number;
  /** Mirrored left to right. */
  readonly horizontalFlip: boolean;
  /** Mirrored top to bottom. */
  readonly verticalFlip: boolean;
}

/**
 * Draws what becomes of an image.
 *
 * @param image size of the image after its preparation: see {@linkcode preparationOf} and {@linkcode preparedSize}
 * @param size of the result
 */
export function drawPlacement(
  image: ImageSize,
  size: ImageSize,
  augmentation: Augmentation,
  { seed, epoch, example }: AugmentationKey,
): Placement {
  const still = {
    box: { left: 0, top: 0, width: image.width, height: image.height },
    angle: 0,
    left: 0,
    top: 0,
    horizontalFlip: false,
    verticalFlip: false,
  };
  if (augmentation.kind === "none") return still;
  const random = new PhiloxSequence(seed, Stream.augmentation, epoch, example);
  const placed = { ...still, ...drawPlace(image, size, augmentation, random) };
  const horizontalFlip = (augmentation.kind === "flip" || augmentation.flip) && coin(random);
  const verticalFlip = "verticalFlip" in augmentation && augmentation.verticalFlip === true && coin(random);
  return { ...placed, horizontalFlip, verticalFlip };
}

function drawPlace(
  image: ImageSize,
  { height, width }: ImageSize,
  augmentation: Augmentation,
  random: PhiloxSequence,
): Partial<Placement> {
  switch (augmentation.kind) {
    case "none":
    case "flip":
      return {};
    case "crop": {
      const left = random.below(2 * augmentation.padding + 1) - augmentation.padding;
      return { left, top: random.below(2 * augmentation.padding + 1) - augmentation.padding };
    }
    case "resized-crop":
      return { box: drawBox(image, augmentation.scale, augmentation.ratio, random) };
    case "rotated-crop": {
      const angle = augmentation.degrees * (2 * random.uniform() - 1);
      const left = random.below(image.width - width + 1);
      return { angle, left, top: random.below(image.height - height + 1) };
    }
  }
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

/** Size of an image of the final size after its preparation. */
export function preparedSize({ height, width }: ImageSize, augmentation: Augmentation): ImageSize {
  if (augmentation.kind !== "rotated-crop") return { height, width };
  return { height: enlarged(height, augmentation.margin), width: enlarged(width, augmentation.margin) };
}

function enlarged(length: number, margin: number): number {
  return Math.round(length * (1 + margin));
}

function coin(random: PhiloxSequence): boolean {
  return (random.uint32() & 1) === 1;
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
