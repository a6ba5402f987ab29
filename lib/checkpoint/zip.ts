/**
 * Zip archives as `torch.save` and `numpy.savez` write them, read entry by entry.
 *
 * `npm:fflate` inflates; the directory is read here because entries must be views of the file where they are stored as
 * they are, checked against their checksums, and measured before anything is inflated.
 *
 * @module
 */

import { inflateSync } from "../deps.ts";
import { FormatError } from "../errors.ts";
import { type Budget, budgetFor, spend } from "./budget.ts";
import { foreign } from "./context.ts";
import { crc32 } from "./crc32.ts";

const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50;
const MASKED = 0xffffffff;
const STORED = 0, DEFLATED = 8;
/** Deflate cannot make more than this from one byte. */
const MAX_INFLATION = 1032;

/** One file in an archive. */
export interface ZipEntry {
  /** Its path, with `/` between folders. */
  readonly name: string;
  /** Bytes once inflated, as the directory states it. */
  readonly size: number;
  /** Bytes in the archive. */
  readonly compressedSize: number;
  /** 0 stored, 8 deflated. */
  readonly method: number;
  /** CRC-32 of the contents once inflated. */
  readonly crc: number;
  /** Where the entry's local header starts. */
  readonly headerOffset: number;
}

/** An archive's directory over its bytes. */
export interface ZipArchive {
  /** The whole archive. */
  readonly bytes: Uint8Array;
  /** The same bytes, for integers. */
  readonly view: DataView;
  /** By name, in the directory's order. */
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** Where the directory starts: entries end before it. */
  readonly directoryOffset: number;
  /** What inflating may still allocate. */
  readonly budget: Budget;
}

/** Whether `bytes` begin as a zip archive does. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5);
}

function readU64(view: DataView, offset: number): number {
  return Number(view.getBigUint64(offset, true));
}

function findEnd(view: DataView): number {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 22 - 0xffff); at--) {
    if (view.getUint32(at, true) === END) return at;
  }
  throw new FormatError(
    `the zip archive has no directory at the end of its ${view.byteLength} bytes, so it is cut short; ` +
      "download the file again",
  );
}

interface Directory {
  readonly count: number;
  readonly size: number;
  readonly offset: number;
}

function readEnd(view: DataView): Directory {
  const end = findEnd(view);
  const at64 = end >= 20 && view.getUint32(end - 20, true) === LOCATOR64 ? readU64(view, end - 12) : -1;
  const is64 = at64 >= 0 && at64 + 56 <= end && view.getUint32(at64, true) === END64;
  const directory = is64
    ? { count: readU64(view, at64 + 32), size: readU64(view, at64 + 40), offset: readU64(view, at64 + 48) }
    : {
      count: view.getUint16(end + 10, true),
      size: view.getUint32(end + 12, true),
      offset: view.getUint32(end + 16, true),
    };
  if (directory.offset + directory.size > end || directory.count * 46 > directory.size) {
    throw new FormatError(
      `the zip directory states ${directory.count} entries in bytes ${directory.offset} to ` +
        `${directory.offset + directory.size} of ${view.byteLength}; download the file again`,
    );
  }
  return directory;
}

/** Sizes past 4 GiB stand in an extra field, in a fixed order, each only where its 32-bit field is masked. */
function readZip64(view: DataView, start: number, length: number, values: number[]): void {
  for (let at = start; at + 4 <= start + length;) {
    const id = view.getUint16(at, true), size = view.getUint16(at + 2, true);
    if (id === 1) {
      let next = at + 4;
      for (let i = 0; i < values.length; i++) {
        if (values[i] !== MASKED) continue;
        if (next + 8 > Math.min(at + 4 + size, start + length)) return;
        values[i] = readU64(view, next);
        next += 8;
      }
      return;
    }
    at += 4 + size;
  }
}

/** Read an archive's directory; throws `FormatError` where it is damaged, encrypted or cut short. */
export function readZip(bytes: Uint8Array): ZipArchive {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const directory = readEnd(view);
  const entries = new Map<string, ZipEntry>();
  const end = directory.offset + directory.size;
  const decoder = new TextDecoder();
  let at = directory.offset;
  for (let i = 0; i < directory.count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== CENTRAL) {
      throw new FormatError(
        `entry ${i} of ${directory.count} in the zip directory is damaged; download the file again`,
      );
    }
    const nameLength = view.getUint16(at + 28, true), extraLength = view.getUint16(at + 30, true);
    const next = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    if (next > end) throw new FormatError(`entry ${i} in the zip directory runs past its end; download the file again`);
    const name = decoder.decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const sizes = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)];
    readZip64(view, at + 46 + nameLength, extraLength, sizes);
    if (view.getUint16(at + 8, true) & 1) throw new FormatError(`the zip entry ${name} is encrypted`);
    if (entries.has(name)) throw new FormatError(`the zip archive holds two entries named ${name}`);
    entries.set(name, {
      name,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      size: sizes[0],
      compressedSize: sizes[1],
      headerOffset: sizes[2],
    });
    at = next;
  }
  return { bytes, view, entries, directoryOffset: directory.offset, budget: budgetFor(bytes.length) };
}

function packedBytes(archive: ZipArchive, entry: ZipEntry): Uint8Array {
  const { view, directoryOffset } = archive;
  const header = entry.headerOffset;
  if (header + 30 > directoryOffset || view.getUint32(header, true) !== LOCAL) {
    throw new FormatError(`the zip entry ${entry.name} does not start at byte ${header}; download the file again`);
  }
  const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
  if (start + entry.compressedSize > directoryOffset) {
    throw new FormatError(
      `the zip entry ${entry.name} states ${entry.compressedSize} bytes from byte ${start}, past the end of the ` +
        `entries at ${directoryOffset}; download the file again`,
    );
  }
  return archive.bytes.subarray(start, start + entry.compressedSize);
}

function inflate(archive: ZipArchive, entry: ZipEntry, packed: Uint8Array): Uint8Array {
  if (entry.size > packed.length * MAX_INFLATION + 64) {
    throw new FormatError(
      `the zip entry ${entry.name} states ${entry.size} bytes deflated to ${packed.length}, which deflate cannot do`,
    );
  }
  spend(archive.budget, entry.size, `the zip entry ${entry.name}`);
  const out = new Uint8Array(entry.size);
  return foreign(`the zip entry ${entry.name} does not inflate`, () => inflateSync(packed, { out }));
}

/**
 * An entry's contents: a view of the archive where it is stored, a new array where it is deflated. Its size and CRC-32
 * are checked. Throws `FormatError` where they disagree with the directory.
 */
export function readEntry(archive: ZipArchive, entry: ZipEntry): Uint8Array {
  const packed = packedBytes(archive, entry);
  if (entry.method !== STORED && entry.method !== DEFLATED) {
    throw new FormatError(
      `the zip entry ${entry.name} uses compression method ${entry.method}; stored (0) or deflated (8) is required`,
    );
  }
  const contents = entry.method === STORED ? packed : inflate(archive, entry, packed);
  if (contents.length !== entry.size) {
    throw new FormatError(
      `the zip entry ${entry.name} holds ${contents.length} bytes, its header states ${entry.size}`,
    );
  }
  if (crc32(contents) !== entry.crc) {
    throw new FormatError(`the checksum of the zip entry ${entry.name} is wrong; download the file again`);
  }
  return contents;
}
