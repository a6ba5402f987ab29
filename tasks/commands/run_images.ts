/**
 * The images that a run is evaluated on: its own, or a set that is named, prepared as the run's were.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import { loadSplit, loadTask, requireSameClasses } from "./inputs.ts";
import type { RunFolder } from "./run_writer.ts";
import type { DataFlags } from "./treatment.ts";

/** What the command line may say of the images. */
export type RunImageFlags = Pick<
  DataFlags,
  | "valDataset"
  | "dataDir"
  | "valDir"
  | "numOfLabels"
  | "corruption"
  | "severity"
  | "classList"
  | "imageSize"
  | "transforms"
  | "cacheDir"
  | "cacheSize"
>;

/** What says where a set lies and which part of it is meant; a run's own goes with the run's own set. */
const OF_SET = ["dataDir", "valDir", "numOfLabels", "corruption", "severity", "classList"] as const;

/**
 * The images of `--val-dataset`; the run's own validation images unless given, wherever the other flags do not say
 * otherwise.
 *
 * @throws UsageError where they are of other classes than the run's
 */
export async function loadRunImages(flags: RunImageFlags, folder: RunFolder): Promise<ImageSource> {
  const { path, config } = folder, set = await openRunImages(flags, folder);
  // A run of an earlier version does not say which classes it has.
  if (config.classNames !== undefined) {
    requireSameClasses({ name: `the run ${path}`, classNames: config.classNames }, set);
  }
  return set;
}

async function openRunImages(flags: RunImageFlags, folder: RunFolder): Promise<ImageSource> {
  const recorded: DataFlags & { readonly seed: number } = folder.config.flags;
  const own = flags.valDataset === undefined;
  const { cacheDir, cacheSize } = flags;
  const place = Object.fromEntries(OF_SET.map((name) => [name, flags[name] ?? (own ? recorded[name] : undefined)]));
  const data = { ...recorded, ...place, cacheDir, cacheSize, ...recordedTreatment(flags, folder) };
  // The run's validation images are a part of its training set, unless another part is named.
  if (own && recorded.valSplit > 0 && flags.valDir === undefined) return (await loadTask(data, recorded.seed)).val;
  const name = flags.valDataset ?? recorded.valDataset ?? recorded.trainDataset;
  return await loadSplit({ ...data, trainDataset: name }, name, "val", folder.config.classNames);
}

/** A run's images are treated as it was trained. */
function recordedTreatment(flags: RunImageFlags, folder: RunFolder): Partial<DataFlags> {
  const { flags: { encoder, smallStem, transforms }, classifier } = folder.config;
  return {
    encoder: classifier.onnx === undefined ? encoder : undefined,
    networkSize: classifier.onnx === undefined ? undefined : classifier.height,
    smallStem,
    transforms: flags.transforms === "auto" ? transforms : flags.transforms,
    imageSize: flags.imageSize ?? classifier.height,
  };
}
