/**
 * JPEG files to pixels, by MozJPEG in WebAssembly: the same transforms and colour conversion as libjpeg-turbo, so the
 * same pixels as Pillow.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { fromCmyk } from "./cmyk.ts";
import { createJpegCodec, type JpegCodec, jpegModule, type RgbaImage } from "./codecs.js";
import { adobeTransform, keepComponents } from "./jpeg_components.ts";

/** What the frame header says. */
export interface JpegHeader {
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** 1 grayscale, 3 colour, 4 CMYK. */
  readonly components: number;
}

/** What libjpeg prints when the data end early; it then fills the rest with grey. */
const PREMATURE_END = "Premature end of JPEG file";

let codec: Promise<JpegCodec> | undefined;
let complaints: string[] = [];

/** True if the bytes start as every JPEG file does. */
export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
}

/**
 * The size in the frame header, without decoding.
 *
 * @param file what to call the bytes in an error
 * @throws {FormatError} if there is no frame header
 */
export function readJpegHeader(bytes: Uint8Array, file: string): JpegHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 2;
  while (offset + 9 < bytes.length) {
    const marker = bytes[offset + 1];
    if (bytes[offset] !== 0xff || marker === 0xff || marker === 0) {
      offset++;
    } else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      offset += 2;
    } else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      const height = view.getUint16(offset + 5), width = view.getUint16(offset + 7);
      return { width, height, components: bytes[offset + 9] };
    } else {
      offset += 2 + view.getUint16(offset + 2);
    }
  }
  throw new FormatError(
    `Cannot decode ${file} as JPEG: there is no frame header in its ${bytes.length} bytes; replace the file`,
  );
}

/**
 * Decodes a JPEG file, baseline or progressive, grayscale, colour or CMYK. The EXIF orientation is not applied, as in
 * torchvision.
 *
 * @param file what to call the bytes in an error
 * @throws {FormatError} if the data are truncated or not decodable. Damage that libjpeg repairs is accepted, as it is by
 * Pillow, except in a CMYK file
 */
export async function decodeJpeg(bytes: Uint8Array, file: string): Promise<RgbaImage> {
  if (readJpegHeader(bytes, file).components !== 4) return await decodeColours(bytes, file);
  // The codec makes RGB only, for which it refuses four components: it gets three at a time.
  const transformed = (adobeTransform(bytes, file) ?? 0) !== 0;
  const colours = await decodeColours(keepComponents(bytes, [0, 1, 2], transformed ? 1 : 0, file), file);
  const black = await decodeColours(keepComponents(bytes, [0, 1, 3], 0, file), file);
  return fromCmyk(colours, black, transformed);
}

async function decodeColours(bytes: Uint8Array, file: string): Promise<RgbaImage> {
  const instance = await (codec ??= createCodec());
  complaints = [];
  const image = tryDecode(instance, bytes);
  if (image === null || complaints.some((complaint) => complaint.includes(PREMATURE_END))) {
    throw new FormatError(
      `Cannot decode ${file} as JPEG: ${complaints.join("; ") || "the data are damaged"}; replace the file`,
    );
  }
  return image;
}

function tryDecode(instance: JpegCodec, bytes: Uint8Array): RgbaImage | null {
  try {
    return instance.decode(bytes, false);
  } catch {
    // The reason is in `complaints`; the instance has exited and must not be used again.
    codec = undefined;
    return null;
  }
}

function createCodec(): Promise<JpegCodec> {
  return createJpegCodec({
    noInitialRun: true,
    print: (text) => complaints.push(text),
    printErr: (text) => complaints.push(text),
    instantiateWasm: (imports, receive) => {
      const instance = new WebAssembly.Instance(jpegModule, imports);
      receive(instance);
      return instance.exports;
    },
  });
}
