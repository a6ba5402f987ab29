/**
 * How a command treats its images: as the original system does, or plainly.
 *
 * @module
 */

import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import { resolveName } from "../../lib/data/load.ts";
import { type Normalisation, resolveNormalisation } from "../../lib/data/normalisation.ts";
import { type Recipe, RECIPES } from "../../lib/data/recipes.ts";
import { RESNETS } from "../../lib/models/resnet.ts";
import type { DATA_FLAGS } from "../cli/flag_groups.ts";
import type { FlagValues } from "../cli/flags.ts";

/** Values of the data flags, and of those that the treatment depends on. */
export interface DataFlags extends Omit<FlagValues<typeof DATA_FLAGS>, "operands"> {
  readonly encoder?: string;
  readonly smallStem?: boolean;
  readonly compat?: boolean;
  /** Side of the images that an imported network states. */
  readonly networkSize?: number;
  /** Whether an imported network normalises its images itself. */
  readonly networkNormalises?: boolean;
}

/** Images no larger than this are for networks that are made for small images. */
const SMALL = 64;

/**
 * `--transforms`; unless given, plain for a network that is made for small images: the published CIFAR networks were
 * trained on 32 x 32 pixels with ImageNet's constants, not on the original system's 224.
 */
export function transformsOf({ transforms, encoder, smallStem, networkSize }: DataFlags): "original" | "plain" {
  // A run that was recorded before the flag came has none.
  if (transforms === "original" || transforms === "plain") return transforms;
  const small = smallStem || RESNETS[encoder ?? ""]?.stem === "small" || (networkSize ?? Infinity) <= SMALL;
  return small ? "plain" : "original";
}

function recipeOf(flags: DataFlags): Recipe | undefined {
  return transformsOf(flags) === "original" ? RECIPES[resolveName(flags.trainDataset)] : undefined;
}

/** The augmentation of `--augmentation`, the training set's own unless given. */
export function augmentationOf(flags: DataFlags): Augmentation {
  if (flags.augmentation !== "auto") return AUGMENTATIONS[flags.augmentation];
  return recipeOf(flags)?.augmentation ?? AUGMENTATIONS.crop;
}

/** Images of range 0 to 1. */
const AS_THEY_ARE: Normalisation = { mean: [0, 0, 0], std: [1, 1, 1] };

/**
 * The constants of `--normalisation`, the training set's own unless given; mistyped under `--compat`. None for a network
 * that normalises its images itself.
 */
export function normalisationOf(flags: DataFlags, split: "train" | "val" = "train"): Normalisation {
  if (flags.networkNormalises) return AS_THEY_ARE;
  if (flags.normalisation !== "auto") return resolveNormalisation(flags.normalisation);
  const recipe = recipeOf(flags);
  return (flags.compat ? recipe?.compat?.[split] : undefined) ?? recipe?.normalisation ?? resolveNormalisation();
}
