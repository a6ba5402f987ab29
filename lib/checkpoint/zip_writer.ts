/**
 * Zip archives of stored entries whose contents start at multiples of 64 bytes, as `torch.save` lays them out, so that
 * a reader can map them into memory.
 *
 * @module
 */

import { crc32 } from "./crc32.ts";

const ALIGNMENT = 64;
const LIMIT = 0xffffffff;
const VERSION = 20;
/** Names are UTF-8. */
const FLAGS = 0x0800;
/** 1 January 1980, the least date that the format knows: files are equal whenever they are written. */
const DATE = 0x21;
/** Extra field "FB" with `Z` bytes: PyTorch's padding. */
const PADDING_ID = 0x4246;
const PADDING_BYTE = 0x5a;

/** One file to be written. */
export interface ZipContent {
  /** Its path in the archive, with `/` between folders. */
  readonly name: string;
  /** Its contents. */
  readonly data: Uint8Array;
}

interface Placed {
  readonly name: Uint8Array;
  readonly data: Uint8Array;
  readonly header: number;
  readonly start: number;
  readonly crc: number;
}

function place(contents: readonly ZipContent[]): Placed[] {
  const encoder = new TextEncoder();
  let at = 0;
  return contents.map(({ name, data }) => {
    const encoded = encoder.encode(name);
    const header = at;
    const least = header + 30 + encoded.length + 4;
    const start = Math.ceil(least / ALIGNMENT) * ALIGNMENT;
    at = start + data.length;
    return { name: encoded, data, header, start, crc: crc32(data) };
  });
}

/** The fields that the local header and the directory share: version to extra length. */
function writeShared(view: DataView, at: number, entry: Placed, extra: number): void {
  view.setUint16(at, VERSION, true);
  view.setUint16(at + 2, FLAGS, true);
  view.setUint16(at + 8, DATE, true);
  view.setUint32(at + 10, entry.crc, true);
  view.setUint32(at + 14, entry.data.length, true);
  view.setUint32(at + 18, entry.data.length, true);
  view.setUint16(at + 22, entry.name.length, true);
  view.setUint16(at + 24, extra, true);
}

function writeLocal(bytes: Uint8Array, view: DataView, entry: Placed): void {
  const extraAt = entry.header + 30 + entry.name.length;
  const extra = entry.start - extraAt;
  view.setUint32(entry.header, 0x04034b50, true);
  writeShared(view, entry.header + 4, entry, extra);
  bytes.set(entry.name, entry.header + 30);
  view.setUint16(extraAt, PADDING_ID, true);
  view.setUint16(extraAt + 2, extra - 4, true);
  bytes.fill(PADDING_BYTE, extraAt + 4, entry.start);
  bytes.set(entry.data, entry.start);
}

function writeCentral(bytes: Uint8Array, view: DataView, entry: Placed, at: number): void {
  view.setUint32(at, 0x02014b50, true);
  view.setUint16(at + 4, VERSION, true);
  writeShared(view, at + 6, entry, 0);
  view.setUint32(at + 42, entry.header, true);
  bytes.set(entry.name, at + 46);
}

/**
 * A zip archive of `contents`, in order, uncompressed. Throws `RangeError` past the 4 GiB or 65,535 entries that the
 * format can address without extensions.
 */
export function writeZip(contents: readonly ZipContent[]): Uint8Array {
  const entries = place(contents);
  const last = entries.at(-1);
  const directory = last === undefined ? 0 : last.start + last.data.length;
  const directorySize = entries.reduce((size, entry) => size + 46 + entry.name.length, 0);
  const total = directory + directorySize + 22;
  if (total > LIMIT || entries.length >= 0xffff) {
    throw new RangeError(
      `Cannot write a zip archive of ${total} bytes and ${entries.length} entries: at most ${LIMIT} bytes and 65534 ` +
        `entries are possible; write safetensors instead`,
    );
  }
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = directory;
  for (const entry of entries) {
    writeLocal(bytes, view, entry);
    writeCentral(bytes, view, entry, at);
    at += 46 + entry.name.length;
  }
  view.setUint32(at, 0x06054b50, true);
  view.setUint16(at + 8, entries.length, true);
  view.setUint16(at + 10, entries.length, true);
  view.setUint32(at + 12, directorySize, true);
  view.setUint32(at + 16, directory, true);
  return bytes;
}
