/**
 * Sets of labelled images: held in memory, or decoded when a batch asks for them.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { checkFit, type Fit } from "./fit.ts";
import type { SharedPixelCache } from "./pixel_cache.ts";
import type { RgbImage } from "./resize.ts";

/** What is known of a set of labelled images before any is decoded. */
export interface ImageFacts {
  /** What the set is called in messages and run records. */
  readonly name: string;
  /** Rows of every image. */
  readonly height: number;
  /** Columns of every image. */
  readonly width: number;
  /** Red, green, blue. */
  readonly channels: 3;
  /** Name of class `i` at index `i`. */
  readonly classNames: readonly string[];
  /** `[n]` class of each image. */
  readonly labels: Uint32Array;
  /**
   * sha256, in hex, by which a resumed run knows its data: of the pixels followed by the labels as little-endian 32-bit
   * words, or of a stream's description, which says what it covers: see `openFiles`.
   */
  readonly hash: string;
}

/** The class of images whose class is not known. */
export const UNLABELLED = "unlabelled";

/** Images and labels in memory: uint8, NHWC. */
export interface ImageSet extends ImageFacts {
  /** `[n, height, width, 3]` pixels. */
  readonly images: Uint8Array;
}

/** Labelled images of any size that are decoded when a batch asks for them. */
export interface ImageStream extends ImageFacts {
  /** How an image becomes `height` x `width` where nothing is cut out of it at random. */
  readonly fit: Fit;
  /** Where the whole image of an example is. */
  readonly locate: (example: number) => ImageLocation;
  /** Where decoded files are kept between runs; nowhere unless given. */
  readonly cache?: SharedPixelCache;
  /** The whole images, where they are in memory and of one size. */
  readonly whole?: Pick<ImageSet, "images" | "height" | "width">;
}

/** Images for training or evaluation. */
export type ImageSource = ImageSet | ImageStream;

/** Where an image's pixels are: plain data, so that another thread can read it. */
export type ImageLocation =
  /** In memory, decoded. */
  | { readonly kind: "pixels"; readonly image: RgbImage }
  /** A JPEG or PNG file. */
  | { readonly kind: "file"; readonly path: string }
  /** Planes of bytes (red, green, blue), each column by column, from a byte of a file on. */
  | {
    readonly kind: "columns";
    readonly path: string;
    readonly offset: number;
    readonly height: number;
    readonly width: number;
  };

/** The most bytes of pixels that a set may hold unless the caller says otherwise: 4 GiB. */
export const DEFAULT_MEMORY_LIMIT: number = 4 * 2 ** 30;

/** Bytes handed to the hash at once: its native side counts in 32 bits. */
const HASH_BLOCK = 2 ** 28;

/** What an image set is made of; `hash` follows from it. */
export type ImageSetParts = Omit<ImageSet, "hash" | "channels">;

/** Bytes that `count` images of `height` x `width` RGB pixels take. */
export function imageBytes(count: number, height: number, width: number): number {
  return count * height * width * 3;
}

/**
 * Allocates the pixels of a set, or refuses.
 *
 * @throws {RangeError} if the pixels would take more than `limit` bytes
 */
export function allocateImages(
  name: string,
  count: number,
  height: number,
  width: number,
  limit: number = DEFAULT_MEMORY_LIMIT,
): Uint8Array<ArrayBuffer> {
  const bytes = imageBytes(count, height, width);
  if (bytes > limit) {
    throw new RangeError(
      `Cannot hold ${name} in memory: ${count} images of ${height}x${width} RGB take ${formatBytes(bytes)}; ` +
        `at most ${formatBytes(limit)} is allowed: choose a smaller image size or fewer images`,
    );
  }
  return new Uint8Array(bytes);
}

/**
 * Checks that the parts belong together and seals them with their hash.
 *
 * @throws {TypeError} if the number of pixels is not that of the labels
 * @throws {RangeError} if a label names no class
 */
export function createImageSet(parts: ImageSetParts): ImageSet {
  const { name, height, width, classNames, labels, images } = parts;
  const expected = imageBytes(labels.length, height, width);
  if (images.length !== expected) {
    throw new TypeError(
      `Cannot make the image set ${name}: ${images.length} bytes of pixels were given, ` +
        `${labels.length} images of ${height}x${width} RGB need ${expected}`,
    );
  }
  requireKnownLabels(parts);
  return { name, height, width, channels: 3, classNames, labels, images, hash: hashExamples(images, labels) };
}

/** What a stream is made of; size and `hash` follow from it. */
export interface ImageStreamParts
  extends Pick<ImageStream, "name" | "classNames" | "labels" | "fit" | "locate" | "cache" | "whole"> {
  /** What tells these data from others, as the files' names and sizes; the hash is made of it. */
  readonly identity: string;
}

/**
 * Checks the parts of a stream and seals them with their hash.
 *
 * @throws {RangeError} if a label names no class or the fit is impossible
 */
export function createImageStream({ identity, ...parts }: ImageStreamParts): ImageStream {
  requireKnownLabels(parts);
  checkFit(parts.fit);
  const hash = hashExamples(new TextEncoder().encode(identity + JSON.stringify(parts.fit)), parts.labels);
  return { ...parts, height: parts.fit.size, width: parts.fit.size, channels: 3, hash };
}

/** The whole images of a stream as a set, where they are in memory and of one size. */
export function wholeSetOf(stream: ImageStream): ImageSet | undefined {
  const { name, channels, classNames, labels, hash, whole } = stream;
  return whole && { name, channels, classNames, labels, hash, ...whole };
}

/** Whether a source's images are decoded when they are asked for. */
export function isStream(source: ImageSource): source is ImageStream {
  return "locate" in source;
}

function requireKnownLabels({ name, classNames, labels }: Pick<ImageFacts, "name" | "classNames" | "labels">): void {
  const wrong = labels.findIndex((label) => label >= classNames.length);
  if (wrong < 0) return;
  throw new RangeError(
    `Cannot make the image set ${name}: example ${wrong} has label ${labels[wrong]}, ` +
      `but there are ${classNames.length} classes`,
  );
}

/** Number of examples of each class, by class index. */
export function classCounts(set: Pick<ImageSet, "classNames" | "labels">): Uint32Array {
  const counts = new Uint32Array(set.classNames.length);
  for (const label of set.labels) counts[label]++;
  return counts;
}

/** sha256, in hex, of pixels followed by labels as little-endian 32-bit words. */
function hashExamples(images: Uint8Array, labels: Uint32Array): string {
  const hash = createHash("sha256");
  for (let start = 0; start < images.length; start += HASH_BLOCK) {
    hash.update(images.subarray(start, start + HASH_BLOCK));
  }
  const words = new DataView(new ArrayBuffer(labels.length * 4));
  labels.forEach((label, index) => words.setUint32(index * 4, label, true));
  hash.update(new Uint8Array(words.buffer));
  return hash.digest("hex");
}

function formatBytes(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(2)} GiB` : `${(bytes / 2 ** 20).toFixed(2)} MiB`;
}
