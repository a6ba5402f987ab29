/**
 * From bytes to the numbers that networks are trained on: (byte / 255 - mean) / std, by channel.
 *
 * The constants belong to a network, not to a data set: a backbone that was pre-trained under one normalisation needs
 * the same one downstream. So {@linkcode DEFAULT_NORMALISATION} is ImageNet's for every data set, which is also what
 * torchvision's weights and the CIFAR-10 ResNets of akamaster/pytorch_resnet_cifar10 were trained with.
 *
 * @module
 */

import { UsageError } from "../errors.ts";

/** One number for each of red, green, blue. */
export type ChannelValues = readonly [number, number, number];

/** Mean and standard deviation of a channel, in units of the full range (0 to 1). */
export interface Normalisation {
  /** Subtracted. */
  readonly mean: ChannelValues;
  /** Divided by. */
  readonly std: ChannelValues;
}

/** Names of {@linkcode NORMALISATIONS}. */
export type NormalisationName = "imagenet" | "cifar10" | "cifar100";

/** The usual constants, measured on each data set's training images. */
export const NORMALISATIONS: Readonly<Record<NormalisationName, Normalisation>> = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  cifar10: { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
  cifar100: { mean: [0.5071, 0.4865, 0.4409], std: [0.2673, 0.2564, 0.2762] },
};

/** What is used unless the caller says otherwise. */
export const DEFAULT_NORMALISATION: NormalisationName = "imagenet";

/**
 * The constants that a choice names.
 *
 * @param choice a name, or six numbers `"mean,mean,mean,std,std,std"`, or the constants themselves
 * @throws {UsageError} if a text is neither a known name nor six finite numbers with positive deviations
 */
export function resolveNormalisation(choice: string | Normalisation = DEFAULT_NORMALISATION): Normalisation {
  const { mean, std } = typeof choice !== "string"
    ? choice
    : Object.hasOwn(NORMALISATIONS, choice)
    ? NORMALISATIONS[choice as NormalisationName]
    : parse(choice);
  if (![...mean, ...std].every(Number.isFinite) || mean.length !== 3 || std.length !== 3 || !std.every((x) => x > 0)) {
    throw new UsageError(
      `Cannot normalise images by ${typeof choice === "string" ? `"${choice}"` : JSON.stringify(choice)}: ` +
        `${Object.keys(NORMALISATIONS).join(", ")} or three means and three positive standard deviations ` +
        `("0.5,0.5,0.5,0.25,0.25,0.25") are required`,
    );
  }
  return { mean, std };
}

/** The same map as `byte * scale + shift`, which is what a kernel computes. */
export function scaleAndShift({ mean, std }: Normalisation): { scale: ChannelValues; shift: ChannelValues } {
  return {
    scale: [1 / (255 * std[0]), 1 / (255 * std[1]), 1 / (255 * std[2])],
    shift: [-mean[0] / std[0], -mean[1] / std[1], -mean[2] / std[2]],
  };
}

/** Normalises interleaved RGB bytes on the CPU; same layout. */
export function normaliseImages(images: Uint8Array, { mean, std }: Normalisation): Float32Array {
  return Float32Array.from(images, (byte, index) => (byte / 255 - mean[index % 3]) / std[index % 3]);
}

function parse(text: string): Normalisation {
  const numbers = text.split(",").map((part) => part.trim() === "" ? NaN : Number(part));
  return {
    mean: numbers.slice(0, 3) as unknown as ChannelValues,
    std: numbers.slice(3) as unknown as ChannelValues,
  };
}
