/**
 * What the training commands read: images, by their flags.
 *
 * @module
 */

import { DEFAULT_MEMORY_LIMIT, imageBytes, type ImageSource, isStream } from "../../lib/data/dataset.ts";
import { parseClassList } from "../../lib/data/imagenet.ts";
import { openDataset } from "../../lib/data/load.ts";
import { holdStream } from "../../lib/data/render.ts";
import { balancedSubset, splitTrainVal, takeExamples } from "../../lib/data/subset.ts";
import { countUnlabelled, isUnlabelled } from "../../lib/data/stl10.ts";
import { UsageError } from "../../lib/errors.ts";
import type { KernelSchedule } from "../../lib/gpu/device.ts";
import type { DEVICE_FLAGS } from "../cli/flag_groups.ts";
import { readInput } from "../cli/files.ts";
import type { FlagValues } from "../cli/flags.ts";
import { sharedPixelCache } from "../pixel_cache/shared.ts";
import { requireCacheFolder } from "./data_flags.ts";
import { type DataFlags, transformsOf } from "./treatment.ts";

/** Values of the device flags. */
export type DeviceFlags = Omit<FlagValues<typeof DEVICE_FLAGS>, "operands">;

/** The schedule that was asked for, or `undefined` where the adapter decides. */
export function kernelScheduleOf({ kernelSchedule }: DeviceFlags): KernelSchedule | undefined {
  return kernelSchedule === "auto" ? undefined : kernelSchedule;
}

/** Training and evaluation images. */
export interface TaskData {
  readonly train: ImageSource;
  /** `--val-split` of the training set where given, otherwise the validation set. */
  readonly val: ImageSource;
}

/**
 * One split of a data set for evaluation: in memory where it fits.
 *
 * @throws UsageError where labels are missing
 */
export async function loadSplit(
  flags: DataFlags,
  name: string,
  split: "train" | "val",
  classNames?: readonly string[],
): Promise<ImageSource> {
  return await held(requireMeasurable(await openSplit(flags, name, split, classNames)));
}

/** A source's fitted images in memory, or the source itself where they are too many. */
async function held(source: ImageSource): Promise<ImageSource> {
  const bytes = imageBytes(source.labels.length, source.height, source.width);
  return isStream(source) && bytes <= DEFAULT_MEMORY_LIMIT ? await holdStream(source) : source;
}

/** One split of a data set, no more in memory than need be. */
async function openSplit(
  flags: DataFlags,
  name: string,
  split: "train" | "val",
  classNames?: readonly string[],
): Promise<ImageSource> {
  const { classList } = flags;
  await requireCacheFolder(flags);
  const set = await openDataset({
    name,
    split,
    dir: flags.dataDir,
    subfolder: split === "train" ? flags.trainDir : flags.valDir,
    transforms: transformsOf(flags),
    size: flags.imageSize,
    defaultSize: flags.networkSize,
    classNames,
    only: classList === undefined
      ? undefined
      : parseClassList(new TextDecoder().decode(await readInput(classList, "a list of classes")), classList),
    corruption: flags.corruption,
    severity: flags.severity,
    cache: sharedPixelCache(flags),
  });
  if (flags.numOfLabels !== undefined && !isUnlabelled(set) && flags.numOfLabels !== set.classNames.length) {
    throw new UsageError(
      `Cannot use ${set.name} with --num-of-labels ${flags.numOfLabels}: it has ${set.classNames.length} classes`,
    );
  }
  return set;
}

/** Which training images are wanted. */
export interface TrainOptions {
  /**
   * Whole images, decoded as they are needed, rather than fitted ones in memory; default where the original's treatment
   * is asked for, which cuts out of whole ones.
   */
  readonly whole?: boolean;
}

/** Training images, and those that `--val-split` holds out. */
async function loadTrain(
  flags: DataFlags,
  seed: number,
  { whole = transformsOf(flags) === "original" }: TrainOptions = {},
): Promise<{ train: ImageSource; val: ImageSource | undefined; classNames: readonly string[] }> {
  const all = await openSplit(flags, flags.trainDataset, "train");
  const parts = flags.valSplit > 0 ? splitTrainVal(all, flags.valSplit, seed) : undefined;
  const pool = parts ? takeExamples(all, parts.train) : all;
  const count = flags.numOfTrainExamples;
  const train = count === undefined ? pool : takeExamples(pool, balancedSubset(pool, count, seed));
  return {
    train: whole ? train : await held(train),
    val: parts && await held(takeExamples(all, parts.val)),
    classNames: all.classNames,
  };
}

function requireMeasurable(set: ImageSource): ImageSource {
  const missing = countUnlabelled(set);
  if (missing === 0) return set;
  throw new UsageError(
    `Cannot measure anything on ${set.name}: ${missing} of its ${set.labels.length} images have no labels; a labelled ` +
      "part is required (--val-dir, without --val-split)",
  );
}

type Named = Pick<ImageSource, "name" | "classNames">;

/**
 * Refuses a set whose labels mean other classes than those that are known: of as many, it would be measured in silence.
 *
 * @throws UsageError
 */
export function requireSameClasses(known: Named, asked: Named): void {
  const named = ({ classNames }: Named) => `${classNames.length} classes (${classNames.slice(0, 3).join(", ")}, ...)`;
  if (known.classNames.join("\n") === asked.classNames.join("\n")) return;
  throw new UsageError(
    `Cannot measure on ${asked.name} what ${known.name} taught: it has ${named(asked)}; the same ${named(known)} are ` +
      "required (--val-dataset, --val-dir)",
  );
}

/**
 * Refuses images without labels.
 *
 * @throws UsageError
 */
export function requireLabels(set: ImageSource): void {
  const missing = countUnlabelled(set);
  if (missing === 0) return;
  const found = missing === set.labels.length
    ? "it has none"
    : `${missing} of its ${set.labels.length} images have none`;
  throw new UsageError(
    `Cannot learn from labels of ${set.name}: ${found}; prior --objective simclr, say, learns without them`,
  );
}

/** The training images alone: learning a prior evaluates nothing. */
export async function loadSource(flags: DataFlags, seed: number, options?: TrainOptions): Promise<ImageSource> {
  return (await loadTrain(flags, seed, options)).train;
}

/** The training images as evaluation sees them: fitted, and in memory where they are not too many. */
export async function loadFitted(flags: DataFlags, seed: number): Promise<ImageSource> {
  return await held(await loadSource(flags, seed));
}

/**
 * Loads the training and validation images. A test set never chooses anything: with `--val-split` it is not even read.
 */
export async function loadTask(flags: DataFlags, seed: number, options?: TrainOptions): Promise<TaskData> {
  const { train, val, classNames } = await loadTrain(flags, seed, options);
  if (val !== undefined) return { train, val: requireMeasurable(val) };
  // A second data set gets the size of the first.
  const sized = { ...flags, imageSize: train.height };
  const own = await loadSplit(sized, flags.valDataset ?? flags.trainDataset, "val", classNames);
  // Of images without labels it is not known which classes they are.
  if (!isUnlabelled(train)) requireSameClasses(train, own);
  return { train, val: own };
}
