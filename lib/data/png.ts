/**
 * PNG files to pixels (W3C Portable Network Graphics, third edition).
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { FormatError } from "../errors.ts";
import { decodePng as decodeBytes, initPng, pngModule, type RgbaImage } from "./codecs.js";

/** What the IHDR chunk says. */
export interface PngHeader {
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
}

const SIGNATURE: readonly number[] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHUNK_OVERHEAD = 12;

/** True if the bytes start as every PNG file does. */
export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((byte, index) => bytes[index] === byte);
}

/**
 * The size in the IHDR chunk, without decoding.
 *
 * @param file what to call the bytes in an error
 * @throws {FormatError} if the chunk is not there
 */
export function readPngHeader(bytes: Uint8Array, file: string): PngHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33 || chunkType(bytes, 8) !== "IHDR") {
    throw new FormatError(`Cannot decode ${file} as PNG: the IHDR chunk that must come first is missing`);
  }
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/**
 * Decodes a PNG file of any colour type, depth and interlacing. Depth 16 keeps the high byte; alpha is returned, not
 * applied. Of an animation, the still image is read.
 *
 * @param file what to call the bytes in an error
 * @throws {FormatError} if a chunk is truncated or its checksum is wrong, or the image data are damaged
 */
export function decodePng(bytes: Uint8Array, file: string): RgbaImage {
  checkChunks(bytes, file);
  initPng(pngModule);
  try {
    return decodeBytes(bytes);
  } catch {
    // The decoder does not say why.
    throw new FormatError(`Cannot decode ${file} as PNG: its image data are damaged; replace the file`);
  }
}

/** Walks the chunks to IEND: the decoder itself repairs wrong checksums in silence. */
function checkChunks(bytes: Uint8Array, file: string): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let offset = SIGNATURE.length;;) {
    const end = offset + CHUNK_OVERHEAD <= bytes.length ? offset + CHUNK_OVERHEAD + view.getUint32(offset) : Infinity;
    if (end > bytes.length) {
      throw new FormatError(
        `Cannot decode ${file} as PNG: the file ends after ${bytes.length} bytes, inside a chunk; replace the file`,
      );
    }
    const type = chunkType(bytes, offset);
    // Ancillary chunks (lower case) carry nothing that becomes a pixel here.
    const critical = (bytes[offset + 4] & 0x20) === 0;
    if (critical && crc32(bytes.subarray(offset + 4, end - 4)) !== view.getUint32(end - 4)) {
      throw new FormatError(
        `Cannot decode ${file} as PNG: the checksum of the ${type} chunk at byte ${offset} is wrong; replace the file`,
      );
    }
    if (type === "IEND") return;
    offset = end;
  }
}

function chunkType(bytes: Uint8Array, offset: number): string {
  return String.fromCharCode(...bytes.subarray(offset + 4, offset + 8));
}
