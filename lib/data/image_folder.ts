/**
 * Folders of image files, one folder a class: torchvision's `ImageFolder` layout.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { allocateImages, createImageSet, type ImageSet } from "./dataset.ts";
import { decodeImage, MAX_PIXELS } from "./decode.ts";
import { isFolder, listFolder } from "./files.ts";
import { type Box, resizeBilinear, type RgbImage } from "./resize.ts";

/**
 * How an image becomes square: `"squash"` is torchvision's `Resize((s, s))`; `"crop"` is `Resize(shortSide)`, which
 * keeps the aspect ratio, followed by `CenterCrop(s)`.
 */
export type ResizeMode = "squash" | "crop";

/** Options of {@linkcode readImageFolder}. */
export interface ImageFolderOptions {
  /** Rows and columns of every image in the set. */
  readonly size: number;
  /** How an image becomes square. */
  readonly resize: ResizeMode;
  /** For `"crop"`: length of the short side before cropping, at least `size`; default `size`. */
  readonly shortSide?: number;
  /** What the set is called; default the folder's name. */
  readonly name?: string;
  /**
   * The classes that labels refer to, in order: those of the training set when this is its validation set. Folders may
   * be missing; one that is not listed is an error. Default: the folders, sorted.
   */
  readonly classNames?: readonly string[];
  /** The most bytes of pixels to hold; default 4 GiB. */
  readonly memoryLimit?: number;
}

/** Files that count as images. */
const READABLE = /\.(jpe?g|png)$/i;
/** Files that torchvision reads and this reader does not. */
const UNREADABLE = /\.(ppm|bmp|pgm|tiff?|webp)$/i;

/**
 * Reads `<root>/<class>/**` as torchvision's `ImageFolder` orders it: classes sorted by name, in each the folders and
 * then the files sorted by name. Files are decoded by content, whatever their extension.
 *
 * @param root the folder of the class folders (of one split)
 * @throws {FormatError} if a file cannot be decoded or is of a kind that is not supported
 * @throws {RangeError} if the images would take more memory than allowed
 */
export async function readImageFolder(root: string, options: ImageFolderOptions): Promise<ImageSet> {
  const { size, resize, shortSide = size, name = root.split(/[\\/]/).findLast((part) => part !== "") ?? root } =
    options;
  checkSizes(size, shortSide);
  const folders = await listClasses(root);
  const classNames = options.classNames ?? folders;
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
  const images = allocateImages(name, paths.length, size, size, options.memoryLimit);
  for (const [index, path] of paths.entries()) {
    const image = await decodeImage(await Deno.readFile(path), path);
    fit(image, size, resize === "crop" ? shortSide : undefined, images, index * size * size * 3);
  }
  return createImageSet({ name, height: size, width: size, classNames, labels: Uint32Array.from(labels), images });
}

/**
 * Makes an image square: see {@linkcode ResizeMode}.
 *
 * @returns `[size, size, 3]` pixels
 */
export function fitImage(image: RgbImage, size: number, resize: ResizeMode, shortSide: number = size): Uint8Array {
  checkSizes(size, shortSide);
  const out = new Uint8Array(size * size * 3);
  fit(image, size, resize === "crop" ? shortSide : undefined, out, 0);
  return out;
}

function fit(image: RgbImage, size: number, shortSide: number | undefined, out: Uint8Array, offset: number): void {
  if (shortSide === undefined) {
    resizeBilinear(image, size, size, { out, offset });
    return;
  }
  const short = Math.min(image.width, image.height);
  const width = Math.trunc(shortSide * image.width / short), height = Math.trunc(shortSide * image.height / short);
  if (width * height > MAX_PIXELS) {
    throw new RangeError(
      `Cannot resize an image of ${image.width} x ${image.height} pixels to a short side of ${shortSide}: ` +
        `${width} x ${height} pixels would follow, at most ${MAX_PIXELS} are allowed: use the resize mode "squash"`,
    );
  }
  const resized = { width, height, rgb: resizeBilinear(image, width, height) };
  copyBox(
    resized,
    {
      left: roundHalfEven((width - size) / 2),
      top: roundHalfEven((height - size) / 2),
      width: size,
      height: size,
    },
    out,
    offset,
  );
}

function copyBox({ width, rgb }: RgbImage, box: Box, out: Uint8Array, offset: number): void {
  for (let row = 0; row < box.height; row++) {
    const start = ((box.top + row) * width + box.left) * 3;
    out.set(rgb.subarray(start, start + box.width * 3), offset + row * box.width * 3);
  }
}

/** Python's `round`, by which torchvision places the crop. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + floor % 2 : Math.round(value);
}

function checkSizes(size: number, shortSide: number): void {
  if (Number.isInteger(size) && size >= 1 && Number.isInteger(shortSide) && shortSide >= size) return;
  throw new RangeError(
    `Cannot resize images to ${size} pixels after a short side of ${shortSide}: ` +
      `a positive whole size and a short side no smaller are required`,
  );
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
