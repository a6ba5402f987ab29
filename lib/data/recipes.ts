/**
 * The original system's treatment of each data set: the size of its images, what is done to them at random in training,
 * how they are fitted in evaluation, and their normalisation.
 *
 * @module
 */

import { type Augmentation, AUGMENTATIONS } from "./augment.ts";
import type { Fit } from "./fit.ts";
import { type Normalisation, NORMALISATIONS } from "./normalisation.ts";

/** How a data set is treated. */
export interface Recipe {
  /** Rows and columns of the images. */
  readonly size: number;
  /** How an image gets its size in evaluation. */
  readonly fit: (size: number) => Fit;
  /** What is done to training images. */
  readonly augmentation: Augmentation;
  /** Of the bytes. */
  readonly normalisation: Normalisation;
  /** Normalisation of training and of evaluation as the original has it by mistake, where it has. */
  readonly compat?: { readonly train: Normalisation; readonly val: Normalisation };
}

const FLIPPED_CROP: Augmentation = {
  kind: "resized-crop",
  scale: [0.08, 1],
  ratio: [3 / 4, 4 / 3],
  flip: true,
  verticalFlip: true,
};

/** ImageNet's deviation of red as the original has it: 0.228 for 0.229 (defect D29). */
const MISTYPED: Normalisation = { mean: NORMALISATIONS.imagenet.mean, std: [0.228, 0.224, 0.225] };

const squash = (size: number): Fit => ({ size, resize: "squash" });

/** `Resize(256)` and `CenterCrop(224)`, in proportion at other sizes. */
const centralCrop = (size: number): Fit => ({ size, resize: "crop", shortSide: Math.round(size * 256 / 224) });

const CIFAR: Recipe = {
  size: 224,
  fit: squash,
  augmentation: FLIPPED_CROP,
  normalisation: { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.243, 0.261] },
};

const IMAGENET: Recipe = {
  size: 224,
  fit: (size) => ({ ...centralCrop(size), filter: "bicubic" }),
  augmentation: AUGMENTATIONS["resized-crop"],
  normalisation: NORMALISATIONS.imagenet,
  compat: { train: MISTYPED, val: NORMALISATIONS.imagenet },
};

const FOLDER: Recipe = {
  size: 224,
  fit: centralCrop,
  augmentation: AUGMENTATIONS["resized-crop"],
  normalisation: NORMALISATIONS.imagenet,
  compat: { train: MISTYPED, val: MISTYPED },
};

/** The original's treatment by the data set's name. */
export const RECIPES: Readonly<Record<string, Recipe>> = {
  "cifar10": CIFAR,
  "cifar100": CIFAR,
  "cifar10.1": CIFAR,
  "cifar10.1-v4": CIFAR,
  "cifar10.1-v6": CIFAR,
  "cifar10-c": CIFAR,
  "stl10": {
    size: 96,
    fit: squash,
    augmentation: AUGMENTATIONS["resized-crop"],
    normalisation: { mean: [0.4914, 0.4823, 0.4466], std: [0.247, 0.243, 0.261] },
  },
  "imagenet": IMAGENET,
  "imagenet100": IMAGENET,
  "custom": FOLDER,
  "oxfordpets": FOLDER,
  "oxford102flowers": {
    size: 224,
    fit: squash,
    // Resize((230, 230)), RandomRotation(30), RandomCrop(224), both flips.
    augmentation: { kind: "rotated-crop", margin: 6 / 224, degrees: 30, flip: true, verticalFlip: true },
    normalisation: { mean: [0.507, 0.487, 0.441], std: [0.267, 0.256, 0.276] },
  },
};
