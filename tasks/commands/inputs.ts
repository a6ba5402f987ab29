/**
 * What the training commands read: data and priors, from their flags.
 *
 * @module
 */

import { type Augmentation, type AugmentationName, AUGMENTATIONS } from "../../lib/data/augment.ts";
import type { ImageSet } from "../../lib/data/dataset.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { resolveNormalisation } from "../../lib/data/normalisation.ts";
import { balancedSubset, splitTrainVal, takeExamples } from "../../lib/data/subset.ts";
import { UsageError } from "../../lib/errors.ts";
import type { KernelSchedule } from "../../lib/gpu/device.ts";
import { type PriorFile, readPrior, readPriorParts } from "../../lib/priors/files.ts";
import type { DATA_FLAGS, DEVICE_FLAGS } from "../cli/flag_groups.ts";
import { readInput } from "../cli/files.ts";
import type { FlagValues } from "../cli/flags.ts";

/** Values of the data flags. */
export interface DataFlags extends Omit<FlagValues<typeof DATA_FLAGS>, "operands"> {
  /** Side of the images that an imported network states: that of an image folder unless `--image-size` is given. */
  readonly networkSize?: number;
}

/** Values of the device flags. */
export type DeviceFlags = Omit<FlagValues<typeof DEVICE_FLAGS>, "operands">;

/** The schedule that was asked for, or `undefined` where the adapter decides. */
export function kernelScheduleOf({ kernelSchedule }: DeviceFlags): KernelSchedule | undefined {
  return kernelSchedule === "auto" ? undefined : kernelSchedule;
}

/** Training and evaluation images. */
export interface TaskData {
  readonly train: ImageSet;
  /** `--val-split` of the training set where given, otherwise the validation set. */
  readonly val: ImageSet;
}

/** One split of a data set. */
export async function loadSplit(
  flags: DataFlags,
  name: string,
  split: "train" | "val",
  classNames?: readonly string[],
): Promise<ImageSet> {
  const set = await loadDataset({
    name,
    split,
    dir: flags.dataDir,
    subfolder: split === "train" ? flags.trainDir : flags.valDir,
    size: flags.imageSize,
    defaultSize: flags.networkSize,
    classNames,
  });
  if (flags.numOfLabels !== undefined && flags.numOfLabels !== set.classNames.length) {
    throw new UsageError(
      `Cannot use ${set.name} with --num-of-labels ${flags.numOfLabels}: it has ${set.classNames.length} classes`,
    );
  }
  return set;
}

/** Training images, and those that `--val-split` holds out. */
async function loadTrain(
  flags: DataFlags,
  seed: number,
): Promise<{ train: ImageSet; held: ImageSet | undefined; classNames: readonly string[] }> {
  const all = await loadSplit(flags, flags.trainDataset, "train");
  const parts = flags.valSplit > 0 ? splitTrainVal(all, flags.valSplit, seed) : undefined;
  const pool = parts ? takeExamples(all, parts.train) : all;
  const count = flags.numOfTrainExamples;
  const train = count === undefined ? pool : takeExamples(pool, balancedSubset(pool, count, seed));
  return { train, held: parts && takeExamples(all, parts.val), classNames: all.classNames };
}

/** The training images alone: learning a prior evaluates nothing. */
export async function loadSource(flags: DataFlags, seed: number): Promise<ImageSet> {
  return (await loadTrain(flags, seed)).train;
}

/**
 * Loads the training and validation images. A test set never chooses anything: with `--val-split` it is not even read.
 */
export async function loadTask(flags: DataFlags, seed: number): Promise<TaskData> {
  const { train, held, classNames } = await loadTrain(flags, seed);
  return { train, val: held ?? await loadSplit(flags, flags.valDataset ?? flags.trainDataset, "val", classNames) };
}

/**
 * A learned prior: one safetensors file, or the original's four files by their prefix.
 *
 * @param keepPrefixes leave `encoder.` and the like on the four files' names: those of an imported network are its own
 */
export async function loadPrior(path: string, normalisation: string, keepPrefixes: boolean): Promise<PriorFile> {
  if (path.endsWith(".safetensors")) return readPrior(await readInput(path, "a prior"), path);
  const part = (name: string) => readInput(`${path}_${name}.pt`, "a part of a prior");
  const parts = {
    model: await part("model"),
    mean: await part("mean"),
    variance: await part("variance"),
    covmat: await part("covmat"),
  };
  const normalised = normalisation === "auto" ? undefined : normalisation === "normalised";
  return readPriorParts(parts, { normalised, consume: true, keepPrefixes });
}

/** The augmentation of `--augmentation`. */
export function augmentationOf(name: AugmentationName): Augmentation {
  return AUGMENTATIONS[name];
}

/** Batch statistics of `--normalisation`. */
export function normalisationOf(flags: DataFlags): ReturnType<typeof resolveNormalisation> {
  return resolveNormalisation(flags.normalisation);
}
