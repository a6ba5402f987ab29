/**
 * ImageNet's classification task of 2012 (Russakovsky et al., "ImageNet large scale visual recognition challenge",
 * 2015), and the subset of 100 classes: folders of images by WordNet number, `n01440764`.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { ImageStream } from "./dataset.ts";
import { type FileStreamOptions, openImageFolder } from "./file_stream.ts";
import type { FolderOptions } from "./image_folder.ts";

/** Classes of the subset. */
export const IMAGENET100_CLASSES = 100;

const WORDNET = /^n\d{8}$/;

/**
 * Opens `<root>/<wnid>/<image>.JPEG`.
 *
 * @param root the folder of one split
 * @throws {FormatError} if a folder is not named by a WordNet number
 */
export async function openImageNet(root: string, options: FileStreamOptions & FolderOptions): Promise<ImageStream> {
  const stream = await openImageFolder(root, options);
  const wrong = stream.classNames.find((name) => !WORDNET.test(name));
  if (wrong !== undefined) {
    throw new FormatError(
      `Cannot read ${root} as ImageNet: it has a class "${wrong}"; folders named by WordNet numbers as n01440764 are ` +
        "required (other folders of images: --train-dataset custom)",
    );
  }
  return stream;
}

/**
 * Opens ImageNet-100: a folder of its 100 classes, or one of more classes with the list of the 100.
 *
 * @throws {FormatError} if there are not 100 classes
 */
export async function openImageNet100(root: string, options: FileStreamOptions & FolderOptions): Promise<ImageStream> {
  const stream = await openImageNet(root, options);
  if (stream.classNames.length !== IMAGENET100_CLASSES) {
    throw new FormatError(
      `Cannot read ${root} as ImageNet-100: there are ${stream.classNames.length} classes; ${IMAGENET100_CLASSES} are ` +
        "required: list them in a file, one WordNet number a line (--class-list)",
    );
  }
  return stream;
}

/**
 * Reads a list of classes: one WordNet number a line; what follows it on the line is ignored.
 *
 * @param name what to call the text in an error
 * @throws {FormatError} if a line does not begin with one, or one is listed twice
 */
export function parseClassList(text: string, name: string): string[] {
  const classes = text.split("\n").map((line) => line.trim().split(/[\s,]/)[0]).filter((word) => word !== "");
  const wrong = classes.find((word, index) => !WORDNET.test(word) || classes.indexOf(word) !== index);
  if (wrong === undefined && classes.length > 0) return classes.sort();
  throw new FormatError(
    `Cannot read ${name} as a list of classes: found ${wrong === undefined ? "none" : `"${wrong}"`}; ` +
      "WordNet numbers as n01440764 are required, one a line, each once",
  );
}
