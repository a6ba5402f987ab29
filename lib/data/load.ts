/**
 * Data sets by name, as the command line knows them.
 *
 * @module
 */

import { FormatError, UsageError } from "../errors.ts";
import { readCifar10, readCifar100 } from "./cifar.ts";
import { type Corruption, CORRUPTIONS, readCifar101, readCifar10C } from "./cifar_variants.ts";
import { createImageStream, type ImageSet, type ImageSource, isStream } from "./dataset.ts";
import { openImageFolder } from "./file_stream.ts";
import { isFolder } from "./files.ts";
import type { Fit, ResizeMode } from "./fit.ts";
import { openImageNet, openImageNet100 } from "./imagenet.ts";
import { FLOWER_CLASSES, type FlowerSplit, openOxfordFlowers } from "./oxford_flowers.ts";
import { openOxfordPets, PET_CLASSES } from "./oxford_pets.ts";
import type { SharedPixelCache } from "./pixel_cache.ts";
import { PROCEDURAL_SIZE, proceduralDownstream, proceduralSource } from "./procedural.ts";
import { RECIPES } from "./recipes.ts";
import { holdStream } from "./render.ts";
import { openStl10, STL10_SIZE, type Stl10Split } from "./stl10.ts";

/** Every name that {@linkcode openDataset} takes; the original system's where it has one. */
export const DATASET_NAMES = [
  "cifar10",
  "cifar100",
  "cifar10.1",
  "cifar10.1-v4",
  "cifar10.1-v6",
  "cifar10-c",
  "stl10",
  "imagenet",
  "imagenet100",
  "oxford102flowers",
  "oxfordpets",
  "custom",
  "imagefolder",
  "flowers17",
  "procedural-source",
  "procedural-downstream",
] as const;

/** One of {@linkcode DATASET_NAMES}. */
export type DatasetName = typeof DATASET_NAMES[number];

/** Which part of a data set; `unlabelled` is STL-10's. */
export type DatasetSplit = "train" | "val" | "test" | "unlabelled";

/** What to load: see {@linkcode openDataset}. */
export interface DatasetRequest {
  /** One of {@linkcode DATASET_NAMES}; `_` stands for `-`. */
  readonly name: string;
  /** Which part. */
  readonly split: DatasetSplit;
  /** The folder of the data; required unless the data are procedural. */
  readonly dir?: string;
  /**
   * The split's folder inside `dir`. For image folders the default is the split's name, or for `val` and `test` the
   * other of the two where only that exists; files of CIFAR and STL-10 are looked for in `dir` as well. Where there is no
   * such folder it names a part of STL-10 (`unlabelled`, `train+unlabelled`), or of flowers and pets in their official layout.
   */
  readonly subfolder?: string;
  /**
   * `"original"`: sized and fitted as the original system does it, see `RECIPES`. `"plain"` (default): the images' own
   * size where they have one, otherwise as `resize` says.
   */
  readonly transforms?: "original" | "plain";
  /** Rows and columns of the images; default the recipe's, the images' own, or `defaultSize`. */
  readonly size?: number;
  /** Rows and columns where `size` does not say it and the images have no size of their own; default 224. */
  readonly defaultSize?: number;
  /** How images become square where `transforms` is plain; default `"crop"`. */
  readonly resize?: ResizeMode;
  /** Length of the short side before cropping where `transforms` is plain; default `size`. */
  readonly shortSide?: number;
  /** Classes that labels refer to, for an image folder that goes with another: see `FolderOptions`. */
  readonly classNames?: readonly string[];
  /** ImageNet: the classes to use, as WordNet numbers; default all folders. */
  readonly only?: readonly string[];
  /** CIFAR-10-C: one of its corruptions; required. */
  readonly corruption?: string;
  /** CIFAR-10-C: 1 to 5; required. */
  readonly severity?: number;
  /** Seed of procedural images; default 0. */
  readonly seed?: number;
  /** Procedural images of each class; default 200. */
  readonly perClass?: number;
  /** The most bytes of pixels to hold; default 4 GiB. */
  readonly memoryLimit?: number;
  /** Where decoded files are kept between runs; nowhere unless given. */
  readonly cache?: SharedPixelCache;
}

const DEFAULT_SIZE = 224;
const DEFAULT_PER_CLASS = 200;

/**
 * Loads a data set into memory: {@linkcode openDataset}, every image decoded and fitted.
 *
 * @throws {UsageError} as `openDataset`
 * @throws {RangeError} if the images would take more memory than allowed
 */
export async function loadDataset(request: DatasetRequest): Promise<ImageSet> {
  const source = await openDataset(request);
  return isStream(source) ? await holdStream(source, request.memoryLimit) : source;
}

/**
 * Opens a data set. Sets of small images whose size stays are held in memory; of all others, images are decoded when
 * they are asked for.
 *
 * CIFAR, STL-10, ImageNet and the pets have two labelled parts: `val` and `test` both mean the second. Carve validation
 * data out of the training set with `splitTrainVal`.
 *
 * @throws {UsageError} if the name or the split is unknown, a folder, corruption or severity is missing from the
 * request, or a size is asked of a procedural set
 * @throws {Error} if the folder does not hold the data; the message states the layout
 * @throws {FormatError} if files are damaged, or flowers, pets or ImageNet-100 have not as many classes as they should
 */
export async function openDataset(request: DatasetRequest): Promise<ImageSource> {
  const name = resolveName(request.name);
  const { split, seed = 0, perClass = DEFAULT_PER_CLASS, memoryLimit } = request;
  if (split === "unlabelled" && name !== "stl10") {
    throw new UsageError(`Cannot load the unlabelled part of ${name}: only stl10 has one`);
  }
  switch (name) {
    case "procedural-source":
    case "procedural-downstream": {
      requireSize(name, request.size, PROCEDURAL_SIZE);
      const make = name === "procedural-source" ? proceduralSource : proceduralDownstream;
      return make({ seed, perClass, split: split === "unlabelled" ? "train" : split });
    }
    case "cifar10":
    case "cifar100": {
      const read = name === "cifar10" ? readCifar10 : readCifar100;
      const folder = await chooseCifarFolder(requireDir(name, request.dir), request.subfolder);
      return fitted(await read(folder, { split: split === "train" ? "train" : "test", memoryLimit }), name, request);
    }
    case "cifar10.1":
    case "cifar10.1-v4":
    case "cifar10.1-v6":
      requireEvaluation(name, split);
      return fitted(
        await readCifar101(requireDir(name, request.dir), name === "cifar10.1-v6" ? "v6" : "v4"),
        name,
        request,
      );
    case "cifar10-c": {
      requireEvaluation(name, split);
      const { corruption, severity } = requireCorruption(request);
      return fitted(await readCifar10C(requireDir(name, request.dir), corruption, severity), name, request);
    }
    case "stl10":
      return await openStl10Part(request);
    default:
      return await openFolder(name, request);
  }
}

/** Sets that are files of images. */
async function openFolder(name: DatasetName, request: DatasetRequest): Promise<ImageSource> {
  const dir = requireDir(name, request.dir);
  const fit = fitOf(name, request, request.defaultSize ?? DEFAULT_SIZE);
  const { split, subfolder, classNames, only, cache } = request;
  if (name === "oxford102flowers" && await isFolder(`${dir}/jpg`)) {
    const part = officialSplit(name, subfolder ?? split);
    return await openOxfordFlowers(dir, part, { name: `${name} (${part})`, fit, cache });
  }
  if (name === "oxfordpets" && await isFolder(`${dir}/images`)) {
    const list = officialSplit(name, subfolder ?? split) === "train" ? "trainval" : "test";
    return await openOxfordPets(dir, list, { name: `${name} (${list})`, fit, cache });
  }
  const folder = await chooseFolder(name, dir, request);
  const options = { name: `${name} (${folder})`, fit, cache, classNames, only };
  const open = { "imagenet": openImageNet, "imagenet100": openImageNet100 }[name as string] ?? openImageFolder;
  const stream = await open(`${dir}/${folder}`, options);
  requireClasses(name, stream, dir, folder);
  return stream;
}

/** The classes of sets that are folders of images once they are arranged, as the original's scripts do it. */
const ARRANGED_CLASSES: Partial<Record<DatasetName, number>> = {
  "oxford102flowers": FLOWER_CLASSES,
  "oxfordpets": PET_CLASSES,
};

function requireClasses(name: DatasetName, { classNames }: ImageSource, dir: string, folder: string): void {
  const required = ARRANGED_CLASSES[name];
  if (required === undefined || classNames.length === required) return;
  throw new FormatError(
    `Cannot read ${dir}/${folder} as ${name}: there are ${classNames.length} classes; ${required} are required, each a ` +
      `folder (data prepare ${name} --data-dir DIR; other folders of images: --train-dataset custom)`,
  );
}

/** The folder of a split inside `dir`. */
async function chooseFolder(name: DatasetName, dir: string, { split, subfolder }: DatasetRequest): Promise<string> {
  const wanted = subfolder !== undefined
    ? [subfolder]
    : split === "train"
    ? ["train"]
    : split === "val"
    ? ["val", "test"]
    : ["test", "val"];
  for (const folder of wanted) {
    if (await isFolder(`${dir}/${folder}`)) return folder;
  }
  throw new Error(
    `Cannot load ${name} (${split}) from ${dir}: there is no folder ${
      wanted.map((x) => `${dir}/${x}`).join(" or ")
    }; ` +
      `required is ${dir}/${wanted[0]}/<class>/<image>.jpg (or .jpeg, .png), one folder a class`,
  );
}

/** In an official layout the parts are lists, not folders: a folder's name stands for one. */
function officialSplit(name: DatasetName, part: string): FlowerSplit {
  if (part === "train" || part === "val" || part === "test") return part;
  throw new UsageError(`Cannot load "${part}" of ${name} from its official layout: train, val or test is required`);
}

/** A set in memory at the size that is asked for: itself where that is its own. */
function fitted(set: ImageSet, name: DatasetName, request: DatasetRequest): ImageSource {
  const fit = fitOf(name, request, set.height);
  if (fit.size === set.height) return set;
  const { height, width, images, classNames, labels, hash } = set;
  const bytes = height * width * 3;
  return createImageStream({
    name: set.name,
    classNames,
    labels,
    fit,
    identity: hash,
    whole: { images, height, width },
    // A copy: a view that goes to another thread would take the whole set with it.
    locate: (i) => ({ kind: "pixels", image: { height, width, rgb: images.slice(i * bytes, (i + 1) * bytes) } }),
  });
}

function fitOf(name: DatasetName, request: DatasetRequest, ownSize: number): Fit {
  const recipe = request.transforms === "original" ? RECIPES[name] : undefined;
  if (recipe !== undefined) return recipe.fit(request.size ?? request.defaultSize ?? recipe.size);
  const { size = ownSize, resize = "crop", shortSide } = request;
  return { size, resize, shortSide };
}

function requireEvaluation(name: DatasetName, split: DatasetSplit): void {
  if (split !== "train") return;
  throw new UsageError(`Cannot train on ${name}: it is a test set; train on cifar10`);
}

function requireCorruption({ corruption, severity }: DatasetRequest): { corruption: Corruption; severity: number } {
  const known = CORRUPTIONS.find((candidate) => candidate === corruption?.toLowerCase().replaceAll("-", "_"));
  if (known !== undefined && severity !== undefined) return { corruption: known, severity };
  const found = known === undefined ? `the corruption is ${corruption ?? "missing"}` : "the severity is missing";
  throw new UsageError(
    `Cannot load cifar10-c: ${found}; --corruption (one of ${CORRUPTIONS.join(", ")}) and --severity (1 to 5) are ` +
      "required",
  );
}

/** STL-10's parts are files: `subfolder` is a folder that holds them, as the original system has it, or names a part. */
async function openStl10Part(request: DatasetRequest): Promise<ImageSource> {
  const { split, subfolder } = request,
    dir = requireDir("stl10", request.dir),
    fit = fitOf("stl10", request, STL10_SIZE);
  if (subfolder !== undefined && await isFolder(`${dir}/${subfolder}`)) {
    return await openStl10(`${dir}/${subfolder}`, stl10Part(split), fit);
  }
  return await openStl10(dir, stl10Part(subfolder ?? split), fit);
}

function stl10Part(part: string): Stl10Split {
  if (part === "val" || part === "test") return "test";
  if (part === "train") return part;
  if (part === "unlabelled" || part === "unlabeled") return "unlabelled";
  if (part === "train+unlabelled" || part === "train+unlabeled") return "train+unlabelled";
  throw new UsageError(
    `Cannot load "${part}" of stl10: a folder, or train, val, test, unlabelled or train+unlabelled, is required`,
  );
}

/** The original system keeps separate copies of CIFAR in its training and validation folders. */
async function chooseCifarFolder(dir: string, subfolder: string | undefined): Promise<string> {
  if (!await isFolder(dir)) {
    throw new Error(
      `Cannot load CIFAR from ${dir}: there is no such folder; required is a folder with the files of CIFAR's binary ` +
        `version (data prepare NAME --data-dir ${dir})`,
    );
  }
  return subfolder !== undefined && await isFolder(`${dir}/${subfolder}`) ? `${dir}/${subfolder}` : dir;
}

/**
 * The data set of a name: case does not matter, `_` stands for `-`, and `cifar10_1` is the original system's CIFAR-10.1.
 *
 * @throws {UsageError} if there is none
 */
export function resolveName(name: string): DatasetName {
  const plain = name.toLowerCase().replaceAll("_", "-").replace(/^cifar10-1(?=$|-v)/, "cifar10.1");
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
