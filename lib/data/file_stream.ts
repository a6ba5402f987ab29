/**
 * Image files that are decoded when they are asked for.
 *
 * @module
 */

import { createImageStream, type ImageStream } from "./dataset.ts";
import { describeContents } from "./file_contents.ts";
import type { Fit } from "./fit.ts";
import type { SharedPixelCache } from "./pixel_cache.ts";
import { type FolderOptions, type LabelledFiles, listImageFolder } from "./image_folder.ts";

/** How a stream of files is called and what size its images get. */
export interface FileStreamOptions {
  /** What the set is called. */
  readonly name: string;
  /** How an image gets its size. */
  readonly fit: Fit;
  /** Where decoded files are kept between runs; nowhere unless given. */
  readonly cache?: SharedPixelCache;
}

/**
 * A stream of labelled files. Its hash covers their paths below `root`, their sizes, their labels, the fit and all that
 * the files hold, up to 4 GiB; of a larger set it covers what is in every second, third, ... file, so that about 4 GiB
 * are read. A change to a file that was left out and keeps its size goes unnoticed.
 *
 * @throws {Error} naming the first file that is missing
 */
export function openFiles(root: string, files: LabelledFiles, { name, fit, cache }: FileStreamOptions): ImageStream {
  const { classNames, paths, labels } = files;
  const sized = paths.map((path) => ({ path, size: sizeOf(path, name) }));
  const list = sized.map(({ path, size }) => `${path.slice(root.length)} ${size}`).join("\n");
  return createImageStream({
    name,
    classNames,
    labels,
    fit,
    cache,
    identity: `${list}\n${describeContents(sized)}`,
    locate: (i) => ({ kind: "file", path: paths[i] }),
  });
}

/** A stream of `<root>/<class>/**`; order and errors are those of {@linkcode listImageFolder}. */
export async function openImageFolder(root: string, options: FileStreamOptions & FolderOptions): Promise<ImageStream> {
  return openFiles(root, await listImageFolder(root, options), options);
}

function sizeOf(path: string, name: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(`Cannot open ${name}: its image ${path} is missing; unpack the data set again`, { cause });
  }
}
