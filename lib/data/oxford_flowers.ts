/**
 * Oxford's 102 flowers (Nilsback, Zisserman, "Automated flower classification over a large number of classes", 2008).
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { ImageStream } from "./dataset.ts";
import { type FileStreamOptions, openFiles } from "./file_stream.ts";
import { isFile } from "./files.ts";
import { readMat } from "./mat.ts";

/** Number of classes. */
export const FLOWER_CLASSES = 102;

/** The official splits: 1,020, 1,020 and 6,149 images. */
export type FlowerSplit = "train" | "val" | "test";

const VARIABLES: Readonly<Record<FlowerSplit, string>> = { train: "trnid", val: "valid", test: "tstid" };

/** An image's file name by its number, from 1 on. */
export function flowerFile(id: number): string {
  return `image_${String(id).padStart(5, "0")}.jpg`;
}

/** A class's folder in the original system's layout: `000` to `101`. */
export function flowerFolder(label: number): string {
  return String(label).padStart(3, "0");
}

/** Numbers of the images of a split, from 1 on, and the class of every image. */
export interface FlowerLabels {
  /** By split, in the order of `setid.mat`. */
  readonly splits: Readonly<Record<FlowerSplit, readonly number[]>>;
  /** Class of image `id` at index `id - 1`, from 0 on. */
  readonly labels: Uint32Array;
}

/**
 * Reads `imagelabels.mat` and `setid.mat`.
 *
 * @throws {FormatError} if a file is damaged, lacks its variables, has a label outside 1 to 102 or an unknown image
 */
export async function readFlowerLabels(labelPath: string, setPath: string): Promise<FlowerLabels> {
  const labels = await readNumbers(labelPath, "labels", (label) => label >= 1 && label <= FLOWER_CLASSES, "1 to 102");
  const known = (id: number) => id >= 1 && id <= labels.length;
  const ids = (split: FlowerSplit) => readNumbers(setPath, VARIABLES[split], known, `1 to ${labels.length}`);
  return {
    splits: { train: await ids("train"), val: await ids("val"), test: await ids("test") },
    labels: Uint32Array.from(labels, (label) => label - 1),
  };
}

/**
 * Opens the flowers as Oxford lays them out: `jpg/`, `imagelabels.mat`, `setid.mat`.
 *
 * @throws {FormatError} if the label files are damaged or do not fit the images
 */
export async function openOxfordFlowers(
  folder: string,
  split: FlowerSplit,
  options: FileStreamOptions,
): Promise<ImageStream> {
  const labelPath = `${folder}/imagelabels.mat`, setPath = `${folder}/setid.mat`;
  for (const path of [labelPath, setPath]) {
    if (!await isFile(path)) throw new Error(`Cannot open ${options.name}: ${path} is missing; download it too`);
  }
  const { splits, labels } = await readFlowerLabels(labelPath, setPath);
  const ids = splits[split];
  return openFiles(folder, {
    classNames: Array.from({ length: FLOWER_CLASSES }, (_, label) => flowerFolder(label)),
    paths: ids.map((id) => `${folder}/jpg/${flowerFile(id)}`),
    labels: Uint32Array.from(ids, (id) => labels[id - 1]),
  }, options);
}

async function readNumbers(
  path: string,
  name: string,
  allowed: (value: number) => boolean,
  range: string,
): Promise<number[]> {
  const found = (await readMat(await Deno.readFile(path), path)).get(name);
  if (found?.kind !== "numeric" || found.values.length === 0) {
    throw new FormatError(`Cannot read ${path}: it has no numbers named "${name}"; download it again`);
  }
  const wrong = found.values.findIndex((value) => !Number.isInteger(value) || !allowed(value));
  if (wrong >= 0) {
    throw new FormatError(
      `Cannot read ${path}: number ${wrong} of "${name}" is ${found.values[wrong]}; ${range} is required`,
    );
  }
  return [...found.values];
}
