/**
 * Folders of image files, one folder a class: torchvision's `ImageFolder` layout.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { allocateImages, createImageSet, type ImageSet } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import { isFolder, listFolder } from "./files.ts";
import { checkFit, type Fit, fitImage } from "./fit.ts";

/** Files of an image folder with their classes. */
export interface LabelledFiles {
  /** Name of class `i` at index `i`. */
  readonly classNames: readonly string[];
  /** Paths of the images. */
  readonly paths: readonly string[];
  /** Class of each image. */
  readonly labels: Uint32Array;
}

/** Which folders of an image folder count, and as what. */
export interface FolderOptions {
  /**
   * The classes that labels refer to, in order: those of the training set when this is its validation set. Folders may
   * be missing; one that is not listed is an error. Default: the folders, sorted.
   */
  readonly classNames?: readonly string[];
  /** Folders to leave all others out for; each must be there. Default: all folders. */
  readonly only?: readonly string[];
}

/** Options of {@linkcode readImageFolder}. */
export interface ImageFolderOptions extends Fit, FolderOptions {
  /** What the set is called; default the folder's name. */
  readonly name?: string;
  /** The most bytes of pixels to hold; default 4 GiB. */
  readonly memoryLimit?: number;
}

/** Files that count as images. */
const READABLE = /\.(jpe?g|png)$/i;
/** Files that torchvision reads and this reader does not. */
const UNREADABLE = /\.(ppm|bmp|pgm|tiff?|webp)$/i;

/**
 * Reads `<root>/<class>/**` into memory, ordered as {@linkcode listImageFolder} says. Files are decoded by content,
 * whatever their extension.
 *
 * @param root the folder of the class folders (of one split)
 * @throws {FormatError} if a file cannot be decoded or is of a kind that is not supported
 * @throws {RangeError} if the images would take more memory than allowed
 */
export async function readImageFolder(root: string, options: ImageFolderOptions): Promise<ImageSet> {
  checkFit(options);
  const { size, name = root.split(/[\\/]/).findLast((part) => part !== "") ?? root } = options;
  const { classNames, paths, labels } = await listImageFolder(root, options);
  const images = allocateImages(name, paths.length, size, size, options.memoryLimit);
  for (const [index, path] of paths.entries()) {
    const image = await decodeImage(await Deno.readFile(path), path);
    fitImage(image, options, images, index * size * size * 3);
  }
  return createImageSet({ name, height: size, width: size, classNames, labels, images });
}

/**
 * Lists `<root>/<class>/**` as torchvision's `ImageFolder` orders it: classes sorted by name, in each the folders and
 * then the files sorted by name.
 *
 * @throws {FormatError} if a file is of a kind that is not supported
 */
export async function listImageFolder(
  root: string,
  { classNames: known, only }: FolderOptions,
): Promise<LabelledFiles> {
  const folders = chooseFolders(root, await listClasses(root), only);
  const classNames = known ?? folders;
  const paths: string[] = [], labels: number[] = [];
  for (const folder of folders) {
    const label = classNames.indexOf(folder);
    if (label < 0) {
      throw new Error(
        `Cannot read ${root}: it has a class "${folder}", which is none of the ${classNames.length} known classes ` +
          `(${summarise(classNames)})`,
      );
    }
    const files = await listImages(`${root}/${folder}`);
    if (files.length === 0) throw new Error(`Cannot read ${root}: class "${folder}" has no .jpg, .jpeg or .png file`);
    for (const file of files) paths.push(file), labels.push(label);
  }
  return { classNames, paths, labels: Uint32Array.from(labels) };
}

function chooseFolders(root: string, folders: string[], only: readonly string[] | undefined): string[] {
  const missing = only?.find((name) => !folders.includes(name));
  if (missing === undefined) return only === undefined ? folders : folders.filter((name) => only.includes(name));
  throw new Error(`Cannot read ${root}: it has no class "${missing}", which is asked for`);
}

async function listClasses(root: string): Promise<string[]> {
  const folders = await isFolder(root) ? (await listFolder(root)).folders : undefined;
  if (folders !== undefined && folders.length > 0) return folders;
  throw new Error(
    `Cannot read ${root} as an image folder: it ${folders === undefined ? "is no folder" : "has no folder inside"}; ` +
      `required is one folder a class, with .jpg, .jpeg or .png files: ${root}/<class>/<image>.jpg`,
  );
}

/** Image files under a folder: folders sorted by path, in each the files sorted by name. */
async function listImages(folder: string): Promise<string[]> {
  const folders = await listTree(folder);
  const images: string[] = [];
  for (const { path, files } of folders.sort((a, b) => a.path < b.path ? -1 : 1)) {
    const unreadable = files.find((file) => UNREADABLE.test(file));
    if (unreadable !== undefined) {
      throw new FormatError(
        `Cannot read ${path}/${unreadable}: only JPEG and PNG images are supported; convert the file`,
      );
    }
    images.push(...files.filter((file) => READABLE.test(file)).map((file) => `${path}/${file}`));
  }
  return images;
}

async function listTree(path: string): Promise<{ path: string; files: string[] }[]> {
  const { folders, files } = await listFolder(path);
  const inside = [];
  for (const folder of folders) inside.push(...await listTree(`${path}/${folder}`));
  return [{ path, files }, ...inside];
}

function summarise(names: readonly string[]): string {
  return names.slice(0, 5).join(", ") + (names.length > 5 ? ", ..." : "");
}
