/**
 * Test sets that CIFAR-10's classifiers are put to: CIFAR-10.1, a second draw of the same distribution (Recht,
 * Roelofs, Schmidt, Shankar, "Do CIFAR-10 classifiers generalize to CIFAR-10?", 2018), and CIFAR-10-C, corrupted
 * copies of the test set (Hendrycks, Dietterich, "Benchmarking neural network robustness to common corruptions and
 * perturbations", 2019). Both are NumPy arrays of `[n, 32, 32, 3]` bytes, with labels apart.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { CIFAR10_NAMES } from "./cifar_names.ts";
import { createImageSet, type ImageSet } from "./dataset.ts";
import { isFile, isFolder } from "./files.ts";
import { readNpyIntegers, readNpyRows } from "./npy_rows.ts";

const SIDE = 32;
const IMAGE = [SIDE, SIDE, 3];

/** The corruptions of CIFAR-10-C: 15, and 4 kept for validation. */
export const CORRUPTIONS = [
  "gaussian_noise",
  "shot_noise",
  "impulse_noise",
  "defocus_blur",
  "glass_blur",
  "motion_blur",
  "zoom_blur",
  "snow",
  "frost",
  "fog",
  "brightness",
  "contrast",
  "elastic_transform",
  "pixelate",
  "jpeg_compression",
  "speckle_noise",
  "gaussian_blur",
  "spatter",
  "saturate",
] as const;

/** One of {@linkcode CORRUPTIONS}. */
export type Corruption = typeof CORRUPTIONS[number];

/** Each corruption's array holds the test set five times, from the weakest on. */
export const SEVERITIES = 5;

/** The two editions of CIFAR-10.1: `v4`, which the original system reads, and `v6`, balanced over the classes. */
export const CIFAR101_VERSIONS = ["v4", "v6"] as const;

/** One of {@linkcode CIFAR101_VERSIONS}. */
export type Cifar101Version = typeof CIFAR101_VERSIONS[number];

/**
 * Reads CIFAR-10.1.
 *
 * @param folder holds `cifar10.1_v4_data.npy` and `cifar10.1_v4_labels.npy` (itself or in `cifar10_1/`); for `v4` the
 *   original system's `cifar10.1-data.npy` and `cifar10.1-labels.npy` will do
 * @throws {FormatError} if an array is damaged or of another shape, labels are missing or out of range
 */
export async function readCifar101(folder: string, version: Cifar101Version): Promise<ImageSet> {
  const prefixes = [`${folder}/cifar10.1_${version}_`, `${folder}/cifar10_1/cifar10.1_${version}_`];
  if (version === "v4") prefixes.push(`${folder}/cifar10.1-`, `${folder}/cifar10_1/cifar10.1-`);
  for (const prefix of prefixes) {
    if (!await isFile(`${prefix}data.npy`)) continue;
    const images = await readNpyRows(`${prefix}data.npy`, IMAGE);
    const labels = await readLabels(`${prefix}labels.npy`);
    return setOf(`CIFAR-10.1 ${version}`, images, labels, `${prefix}labels.npy`);
  }
  throw new Error(
    `Cannot read CIFAR-10.1 from ${folder}: it has no cifar10.1_${version}_data.npy, nor has its cifar10_1/; required ` +
      `are cifar10.1_${version}_data.npy and cifar10.1_${version}_labels.npy (data prepare cifar10.1 --data-dir ${folder})`,
  );
}

/**
 * Reads CIFAR-10-C: the test set under one corruption at one severity. Only that fifth of the file is read.
 *
 * @param folder holds `<corruption>.npy` and `labels.npy`, itself or in `CIFAR-10-C/`
 * @param severity 1 (weak) to 5
 * @throws {RangeError} if the severity is none of these
 * @throws {FormatError} if an array is damaged or of another shape, or a label is out of range
 */
export async function readCifar10C(folder: string, corruption: Corruption, severity: number): Promise<ImageSet> {
  if (!Number.isInteger(severity) || severity < 1 || severity > SEVERITIES) {
    throw new RangeError(`Cannot read CIFAR-10-C at severity ${severity}: a whole number from 1 to 5 is required`);
  }
  const inner = `${folder}/CIFAR-10-C`;
  const root = await isFolder(inner) ? inner : folder;
  const path = `${root}/${corruption}.npy`, labelPath = `${root}/labels.npy`;
  if (!await isFile(path)) {
    throw new Error(
      `Cannot read CIFAR-10-C (${corruption}) from ${folder}: there is no ${path}; required are ${corruption}.npy and ` +
        `labels.npy, there or in its CIFAR-10-C/ (data prepare cifar10-c --data-dir ${folder})`,
    );
  }
  const all = await readLabels(labelPath);
  if (all.length === 0 || all.length % SEVERITIES !== 0) {
    throw new FormatError(
      `Cannot read ${labelPath}: it holds ${all.length} labels; a multiple of ${SEVERITIES} is required`,
    );
  }
  const count = all.length / SEVERITIES, from = (severity - 1) * count;
  const images = await readNpyRows(path, IMAGE, { from, count, total: all.length });
  return setOf(`CIFAR-10-C ${corruption} ${severity}`, images, all.subarray(from, from + count), labelPath);
}

async function readLabels(path: string): Promise<Uint32Array> {
  if (!await isFile(path)) throw new Error(`Cannot read the labels ${path}: there is no such file; download it too`);
  return await readNpyIntegers(path);
}

function setOf(name: string, images: Uint8Array, labels: Uint32Array, labelPath: string): ImageSet {
  const count = images.length / (SIDE * SIDE * 3);
  if (count !== labels.length) {
    throw new FormatError(
      `Cannot read ${name}: there are ${count} images, but ${labels.length} labels in ${labelPath}; download both again`,
    );
  }
  const wrong = labels.findIndex((label) => label >= CIFAR10_NAMES.length);
  if (wrong >= 0) {
    throw new FormatError(`Cannot read ${labelPath}: label ${wrong} is ${labels[wrong]}; labels below 10 are required`);
  }
  return createImageSet({ name, height: SIDE, width: SIDE, classNames: CIFAR10_NAMES, labels, images });
}
