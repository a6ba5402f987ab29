/**
 * STL-10 in its binary version (Coates, Lee, Ng, "An analysis of single-layer networks in unsupervised feature
 * learning", 2011): 96 x 96 images in planes that run column by column, labels from 1 on in files of their own.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { createImageStream, type ImageFacts, type ImageStream, UNLABELLED } from "./dataset.ts";
import { describeContents } from "./file_contents.ts";
import { isFile, isFolder } from "./files.ts";
import type { Fit } from "./fit.ts";

/** STL-10's 10 classes by label, from label 1 on, as `class_names.txt` lists them. */
export const STL10_NAMES: readonly string[] = [
  "airplane",
  "bird",
  "car",
  "cat",
  "deer",
  "dog",
  "horse",
  "monkey",
  "ship",
  "truck",
];

/** Rows and columns of every image. */
export const STL10_SIZE = 96;

const IMAGE_BYTES = 3 * STL10_SIZE * STL10_SIZE;
const FILES = {
  "train": ["train"],
  "test": ["test"],
  "unlabelled": ["unlabeled"],
  "train+unlabelled": ["train", "unlabeled"],
} as const;

/** Which of STL-10's three parts, or the two of them that the original system learns features from. */
export type Stl10Split = keyof typeof FILES;

/** How many images of a set have no label: of STL-10's unlabelled part all, none of others. */
export function countUnlabelled({ classNames, labels }: Pick<ImageFacts, "classNames" | "labels">): number {
  const known = classNames.slice(0, -1);
  // Any folder may be called "unlabelled": the other classes tell.
  const last = classNames.at(-1) === UNLABELLED && (known.length === 0 || known.join() === STL10_NAMES.join());
  return last ? labels.reduce((sum, label) => sum + (label === known.length ? 1 : 0), 0) : 0;
}

/** Whether nothing is known of some images' classes. */
export function isUnlabelled(set: Pick<ImageFacts, "classNames" | "labels">): boolean {
  return countUnlabelled(set) > 0;
}

/**
 * Opens STL-10; images are read when they are asked for, and once before for the hash of the stream, which covers them.
 * The unlabelled images have the class {@linkcode UNLABELLED}, the last one or the only one.
 *
 * @param folder holds `train_X.bin` and the others, itself or in `stl10_binary/`
 * @throws {FormatError} if a file does not hold whole images, or labels are missing, too many or out of range
 */
export async function openStl10(folder: string, split: Stl10Split, fit: Fit): Promise<ImageStream> {
  const inner = `${folder}/stl10_binary`;
  const root = await isFolder(inner) ? inner : folder;
  const parts: Part[] = [];
  for (const name of FILES[split]) parts.push(await openPart(folder, root, name, split));
  const [first] = parts;
  const hasUnlabelled = parts.some(({ labels }) => labels === undefined);
  return createImageStream({
    name: `stl10 (${split})`,
    classNames: [...(first.labels === undefined ? [] : STL10_NAMES), ...(hasUnlabelled ? [UNLABELLED] : [])],
    labels: Uint32Array.from(
      parts.flatMap(({ labels, count }) =>
        labels === undefined
          ? Array<number>(count).fill(first.labels === undefined ? 0 : STL10_NAMES.length)
          : [...labels]
      ),
    ),
    fit,
    identity: parts.map(({ path, size }) => `stl10 ${split} ${size} ${describeContents([{ path, size }])}`).join(" "),
    locate(example) {
      const { path } = example < first.count ? first : parts[1];
      const offset = (example < first.count ? example : example - first.count) * IMAGE_BYTES;
      return { kind: "columns", path, offset, height: STL10_SIZE, width: STL10_SIZE };
    },
  });
}

/** A file of images, and the labels that belong to it. */
interface Part {
  readonly path: string;
  readonly size: number;
  readonly count: number;
  readonly labels?: Uint32Array;
}

async function openPart(folder: string, root: string, name: string, split: Stl10Split): Promise<Part> {
  const path = `${root}/${name}_X.bin`;
  if (!await isFile(path)) {
    throw new Error(
      `Cannot read STL-10 (${split}) from ${folder}: there is no ${path}; required are train_X.bin, train_y.bin, ` +
        `test_X.bin, test_y.bin and unlabeled_X.bin of the binary version (data prepare stl10 --data-dir ${folder})`,
    );
  }
  const { size } = await Deno.stat(path);
  const count = size / IMAGE_BYTES;
  if (!Number.isInteger(count) || count === 0) {
    throw new FormatError(
      `Cannot read ${path}: its ${size} bytes are ${count.toFixed(2)} images of ${IMAGE_BYTES} bytes (96 x 96 RGB); ` +
        "download it again",
    );
  }
  const labels = name === FILES.unlabelled[0] ? undefined : await readLabels(`${root}/${name}_y.bin`, count);
  return { path, size, count, labels };
}

async function readLabels(path: string, count: number): Promise<Uint32Array> {
  if (!await isFile(path)) throw new Error(`Cannot read the labels ${path}: there is no such file; download it too`);
  const bytes = await Deno.readFile(path);
  if (bytes.length !== count) {
    throw new FormatError(
      `Cannot read ${path}: it holds ${bytes.length} labels for ${count} images; download it again`,
    );
  }
  const wrong = bytes.findIndex((label) => label < 1 || label > STL10_NAMES.length);
  if (wrong >= 0) {
    throw new FormatError(
      `Cannot read ${path}: label ${wrong} is ${bytes[wrong]}; 1 to ${STL10_NAMES.length} is required`,
    );
  }
  return Uint32Array.from(bytes, (label) => label - 1);
}
