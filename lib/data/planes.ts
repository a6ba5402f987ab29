/**
 * Images kept as planes of bytes in large files.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { RgbImage } from "./resize.ts";

/**
 * Part of a file.
 *
 * @throws {FormatError} if the file ends before it
 */
export async function readRange(path: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  using file = await Deno.open(path);
  await file.seek(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  for (let read = 0; read < length;) {
    const count = await file.read(bytes.subarray(read));
    if (count === null) {
      throw new FormatError(
        `Cannot read bytes ${offset} to ${offset + length} of ${path}: it ends after ${offset + read}; ` +
          "download the file again",
      );
    }
    read += count;
  }
  return bytes;
}

/** Planes (red, green, blue), each column by column, as interleaved rows. */
export function columnsToRgb(planes: Uint8Array, height: number, width: number): RgbImage {
  const rgb = new Uint8Array(height * width * 3);
  for (let channel = 0, from = 0; channel < 3; channel++) {
    for (let column = 0; column < width; column++) {
      for (let row = 0; row < height; row++) rgb[(row * width + column) * 3 + channel] = planes[from++];
    }
  }
  return { width, height, rgb };
}
