/**
 * Image files to RGB pixels, recognised by their content.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { RgbaImage } from "./codecs.js";
import { decodeJpeg, isJpeg, readJpegHeader } from "./jpeg.ts";
import { decodePng, isPng, readPngHeader } from "./png.ts";
import type { RgbImage } from "./resize.ts";

/** The most pixels that an image may have: 100 megapixels. More is refused before anything is decoded. */
export const MAX_PIXELS = 100_000_000;

/**
 * Decodes a JPEG or PNG file to 8-bit RGB. Grayscale and palette images become RGB, alpha is dropped.
 *
 * @param bytes the whole file
 * @param file what to call it in an error
 * @throws {FormatError} if the bytes are neither JPEG nor PNG, are truncated or damaged, or the image has no pixels or
 * more than {@linkcode MAX_PIXELS}
 */
export async function decodeImage(bytes: Uint8Array, file: string): Promise<RgbImage> {
  if (isJpeg(bytes)) {
    checkSize(readJpegHeader(bytes, file), file);
    return dropAlpha(await decodeJpeg(bytes, file));
  }
  if (isPng(bytes)) {
    checkSize(readPngHeader(bytes, file), file);
    return dropAlpha(decodePng(bytes, file));
  }
  const start = [...bytes.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  throw new FormatError(
    `Cannot decode ${file}: its ${bytes.length} bytes start with "${start}"; a JPEG or PNG file is required`,
  );
}

function checkSize({ width, height }: { width: number; height: number }, file: string): void {
  if (width > 0 && height > 0 && width * height <= MAX_PIXELS) return;
  throw new FormatError(
    `Cannot decode ${file}: its header says ${width} x ${height} pixels; 1 to ${MAX_PIXELS} pixels are required`,
  );
}

function dropAlpha({ width, height, data }: RgbaImage): RgbImage {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4) {
    rgb[to++] = data[from];
    rgb[to++] = data[from + 1];
    rgb[to++] = data[from + 2];
  }
  return { width, height, rgb };
}
