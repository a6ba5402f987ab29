/**
 * Decoded images that are kept between runs. An entry is the image that a file's bytes give once it is decoded and
 * prepared for its augmentation; its key is a hash of just what that depends on, so that an entry never becomes out of
 * date. Where entries are kept is for others to say: nothing here touches a file.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Fit } from "./fit.ts";
import type { RgbImage } from "./resize.ts";

/** Keeps bytes by key. No method throws: what is not kept is made again. */
export interface PixelCache {
  /** The bytes of a key, whole or damaged; `undefined` where there are none. */
  read(key: string): Uint8Array<ArrayBuffer> | undefined;
  /** Keeps the bytes of a key, in place of those that are there, or does not. */
  write(key: string, bytes: Uint8Array<ArrayBuffer>): void;
}

/** A cache that several threads share. */
export interface SharedPixelCache {
  /** What {@linkcode open} makes of it: plain data, which goes to the threads. */
  readonly settings: unknown;
  /** Opens the cache on this thread. */
  readonly open: () => PixelCache;
  /** Module of a thread that opens the cache by its settings: it calls `serveRenderJobs`. */
  readonly worker: URL;
}

/** Changes whenever the pixels of the same file do: with the decoders or the resizing. */
const PIXELS_VERSION = 1;
/** "swpx", and the layout's version. */
const MAGIC = 0x73777078, LAYOUT = 1;
/** Magic, layout, width, height, CRC-32. */
const HEADER_BYTES = 20;

/**
 * The key of an image: sha256, in hex, of a file's bytes and how it is prepared.
 *
 * @param file all bytes of the file
 * @param preparation the size that it gets, or `undefined` where it stays whole
 */
export function pixelKey(file: Uint8Array, preparation: Fit | undefined): string {
  return createHash("sha256").update(`${PIXELS_VERSION} ${describe(preparation)}\n`).update(file).digest("hex");
}

function describe(preparation: Fit | undefined): string {
  if (preparation === undefined) return "whole";
  const { size, resize, shortSide = size, filter = "bilinear" } = preparation;
  return resize === "squash" ? `squash ${size} ${filter}` : `crop ${shortSide} ${size} ${filter}`;
}

/** An image as the entry of a key. */
export function formatEntry(key: string, { width, height, rgb }: RgbImage): Uint8Array<ArrayBuffer> {
  const entry = new Uint8Array(HEADER_BYTES + rgb.length);
  entry.set(rgb, HEADER_BYTES);
  const header = new DataView(entry.buffer);
  [MAGIC, LAYOUT, width, height].forEach((word, index) => header.setUint32(4 * index, word, true));
  header.setUint32(HEADER_BYTES - 4, checksum(key, entry), true);
  return entry;
}

/** The image of an entry; `undefined` if it is cut off, damaged, or another key's. */
export function parseEntry(key: string, entry: Uint8Array<ArrayBuffer>): RgbImage | undefined {
  if (entry.length < HEADER_BYTES) return undefined;
  const header = new DataView(entry.buffer, entry.byteOffset);
  const [magic, layout, width, height, sum] = [0, 4, 8, 12, 16].map((offset) => header.getUint32(offset, true));
  if (magic !== MAGIC || layout !== LAYOUT || entry.length !== HEADER_BYTES + width * height * 3) return undefined;
  if (sum !== checksum(key, entry)) return undefined;
  return { width, height, rgb: entry.subarray(HEADER_BYTES) };
}

/** Of the key, the header up to the sum, and the pixels. */
function checksum(key: string, entry: Uint8Array<ArrayBuffer>): number {
  return crc32(entry.subarray(HEADER_BYTES), crc32(entry.subarray(0, HEADER_BYTES - 4), crc32(key)));
}
