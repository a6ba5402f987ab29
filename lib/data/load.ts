/**
 * Data sets by name, as the command line knows them.
 *
 * @module
 */

import { UsageError } from "../errors.ts";
import { readCifar10, readCifar100 } from "./cifar.ts";
import type { ImageSet } from "./dataset.ts";
import { isFolder } from "./files.ts";
import { readImageFolder, type ResizeMode } from "./image_folder.ts";
import { PROCEDURAL_SIZE, proceduralDownstream, proceduralSource, type ProceduralSplit } from "./procedural.ts";

/**
 * Every name that {@linkcode loadDataset} takes; the last four are image folders, under the original system's names.
 */
export const DATASET_NAMES = [
  "cifar10",
  "cifar100",
  "imagefolder",
  "procedural-source",
  "procedural-downstream",
  "custom",
  "oxfordpets",
  "oxford102flowers",
  "flowers17",
] as const;

/** One of {@linkcode DATASET_NAMES}. */
export type DatasetName = typeof DATASET_NAMES[number];

/** What to load: see {@linkcode loadDataset}. */
export interface DatasetRequest {
  /** One of {@linkcode DATASET_NAMES}; `_` stands for `-`. */
  readonly name: string;
  /** Which part. */
  readonly split: "train" | "val" | "test";
  /** The folder of the data; required unless the data are procedural. */
  readonly dir?: string;
  /**
   * The split's folder inside `dir`. For image folders the default is the split's name, or for `val` and `test` the
   * other of the two where only that exists; CIFAR files are looked for in `dir` as well.
   */
  readonly subfolder?: string;
  /** Rows and columns of the images: image folders only, default `defaultSize`. */
  readonly size?: number;
  /** Rows and columns of an image folder's images where `size` does not say it; default 224. */
  readonly defaultSize?: number;
  /** How images become square: image folders only, default `"crop"`. */
  readonly resize?: ResizeMode;
  /** Length of the short side before cropping: image folders only, default `size`. */
  readonly shortSide?: number;
  /** Classes that labels refer to, for an image folder that goes with another: see `readImageFolder`. */
  readonly classNames?: readonly string[];
  /** Seed of procedural images; default 0. */
  readonly seed?: number;
  /** Procedural images of each class; default 200. */
  readonly perClass?: number;
  /** The most bytes of pixels to hold; default 4 GiB. */
  readonly memoryLimit?: number;
}

const DEFAULT_SIZE = 224;
const DEFAULT_PER_CLASS = 200;

/**
 * Loads a data set into memory.
 *
 * CIFAR has no validation part of its own: its `val` and `test` are both the test files. Carve validation data out of
 * the training set with `splitTrainVal`.
 *
 * @throws {UsageError} if the name is unknown, a folder is missing from the request, or a size is asked of a set whose
 * images have one
 * @throws {Error} if the folder does not hold the data; the message states the layout
 */
export async function loadDataset(request: DatasetRequest): Promise<ImageSet> {
  const name = resolveName(request.name);
  const { split, seed = 0, perClass = DEFAULT_PER_CLASS, memoryLimit } = request;
  switch (name) {
    case "procedural-source":
    case "procedural-downstream": {
      requireSize(name, request.size, PROCEDURAL_SIZE);
      const make = name === "procedural-source" ? proceduralSource : proceduralDownstream;
      return make({ seed, perClass, split: split satisfies ProceduralSplit });
    }
    case "cifar10":
    case "cifar100": {
      requireSize(name, request.size, 32);
      const read = name === "cifar10" ? readCifar10 : readCifar100;
      const folder = await chooseCifarFolder(requireDir(name, request.dir), request.subfolder);
      return await read(folder, { split: split === "train" ? "train" : "test", memoryLimit });
    }
    default:
      return await loadImageFolder(name, request);
  }
}

async function loadImageFolder(name: DatasetName, request: DatasetRequest): Promise<ImageSet> {
  const { split, defaultSize = DEFAULT_SIZE, size = defaultSize, resize = "crop", shortSide, classNames, memoryLimit } =
    request;
  const dir = requireDir(name, request.dir);
  const wanted = request.subfolder !== undefined
    ? [request.subfolder]
    : split === "train"
    ? ["train"]
    : split === "val"
    ? ["val", "test"]
    : ["test", "val"];
  for (const folder of wanted) {
    const root = `${dir}/${folder}`;
    if (!await isFolder(root)) continue;
    return await readImageFolder(root, {
      name: `${name} (${folder})`,
      size,
      resize,
      shortSide,
      classNames,
      memoryLimit,
    });
  }
  throw new Error(
    `Cannot load ${name} (${split}) from ${dir}: there is no folder ${
      wanted.map((x) => `${dir}/${x}`).join(" or ")
    }; ` +
      `required is ${dir}/${wanted[0]}/<class>/<image>.jpg (or .jpeg, .png), one folder a class`,
  );
}

/** The original system keeps separate copies of CIFAR in its training and validation folders. */
async function chooseCifarFolder(dir: string, subfolder: string | undefined): Promise<string> {
  if (!await isFolder(dir)) {
    throw new Error(
      `Cannot load CIFAR from ${dir}: there is no such folder; required is a folder with the files of ` +
        "CIFAR's binary version",
    );
  }
  return subfolder !== undefined && await isFolder(`${dir}/${subfolder}`) ? `${dir}/${subfolder}` : dir;
}

function resolveName(name: string): DatasetName {
  const plain = name.toLowerCase().replaceAll("_", "-");
  const known = DATASET_NAMES.find((candidate) => candidate === plain);
  if (known !== undefined) return known;
  throw new UsageError(`Cannot load the data set "${name}": it is unknown; known are ${DATASET_NAMES.join(", ")}`);
}

function requireDir(name: DatasetName, dir: string | undefined): string {
  if (dir !== undefined && dir !== "") return dir.length > 1 ? dir.replace(/[\\/]+$/, "") : dir;
  throw new UsageError(`Cannot load the data set ${name}: its folder is required (--data-dir)`);
}

function requireSize(name: DatasetName, size: number | undefined, fixed: number): void {
  if (size === undefined || size === fixed) return;
  throw new UsageError(`Cannot load ${name} at ${size} x ${size} pixels: its images are ${fixed} x ${fixed}`);
}
