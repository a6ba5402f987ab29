/**
 * Archives to files: tar, tar.gz and zip, streamed, bounded, and never outside the folder that they are unpacked to.
 *
 * @module
 */

import { readEntry, readZip } from "../../lib/checkpoint/zip.ts";
import { FormatError } from "../../lib/errors.ts";
import { tar } from "./deps.ts";
import { isFileForFolder, statOf } from "./files.ts";
import { gunzipped } from "./gzip.ts";

/** A file in an archive. */
export interface ArchiveFile {
  /** Path inside the archive, checked by {@linkcode safePath}. */
  readonly path: string;
  readonly size: number;
  /** Its contents; to be read before the next file is asked for, or not at all. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** What unpacking may still produce. */
export interface Allowance {
  bytes: number;
  entries: number;
}

/** What tar-stream says of an entry. */
interface TarHeader {
  readonly name: string;
  readonly size: number;
  readonly type: string;
  /** Where its contents begin in the archive. */
  readonly byteOffset: number;
}

interface TarEntry extends AsyncIterable<Uint8Array> {
  readonly header: TarHeader;
  resume(): void;
}

interface TarExtract extends AsyncIterable<TarEntry> {
  write(chunk: Uint8Array): boolean;
  end(): void;
  destroy(error?: Error): void;
  on(event: "drain" | "close", listener: () => void): void;
}

/** The most bytes of a zip archive, which is read whole. */
const MAX_ZIP_BYTES = 2 ** 31;

/**
 * The files of an archive, by its ending: `.tar`, `.tar.gz`, `.tgz` or `.zip`.
 *
 * @throws {FormatError} if it is damaged, holds a link, a device or a path outside, or more than is allowed
 */
export function archiveFiles(path: string, allowance: Allowance): AsyncGenerator<ArchiveFile> {
  return explained(path, /\.zip$/i.test(path) ? zipFiles(path, allowance) : packedTarFiles(path, allowance));
}

/**
 * The files of a tar archive inside another one; throws as {@linkcode archiveFiles}.
 *
 * @param allowance that of the outer archive: what the inner one took of it is given back, for its contents count
 */
export function innerFiles({ path, size, body }: ArchiveFile, allowance: Allowance): AsyncGenerator<ArchiveFile> {
  allowance.bytes += size;
  allowance.entries += 1;
  return explained(path, tarFiles(body, allowance));
}

/** What goes wrong on the way, in one line with the archive's name. */
async function* explained<T extends ArchiveFile | Uint8Array>(
  name: string,
  items: AsyncIterable<T>,
): AsyncGenerator<T> {
  try {
    for await (const item of items) {
      yield item instanceof Uint8Array ? item : { ...item, body: explained(name, (item as ArchiveFile).body) };
    }
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable || cause instanceof UnpackError) throw cause;
    throw new UnpackError(`Cannot unpack ${name}: ${(cause as Error).message}`, { cause });
  }
}

class UnpackError extends FormatError {}

async function* packedTarFiles(path: string, allowance: Allowance): AsyncGenerator<ArchiveFile> {
  const packed = /\.(tar\.gz|tgz)$/i.test(path);
  yield* tarFiles(packed ? await gunzipped(path) : (await Deno.open(path)).readable, allowance);
}

async function* tarFiles(bytes: AsyncIterable<Uint8Array>, allowance: Allowance): AsyncGenerator<ArchiveFile> {
  const extract = tar.extract() as unknown as TarExtract, fed: Fed = { length: 0, zeros: 0 };
  const feeding = feed(extract, bytes, fed);
  let end = 0;
  try {
    for await (const entry of extract) {
      const { name, size, type, byteOffset } = entry.header;
      const path = safePath(name);
      allow(allowance, path, size);
      if (type === "directory") {
        end = byteOffset;
        entry.resume();
        continue;
      }
      if (type !== "file" && type !== "contiguous-file") {
        throw new FormatError(`its entry ${path} is a ${type}; files and folders only are unpacked`);
      }
      end = byteOffset + Math.ceil(size / BLOCK) * BLOCK;
      yield { path, size, body: entry };
      entry.resume();
    }
    requireEnd(fed, end);
  } finally {
    extract.destroy();
    await feeding;
  }
}

/** What was read of a tar archive: bytes, and how many of the last ones are zero, counted up to {@linkcode TAR_END}. */
interface Fed {
  length: number;
  zeros: number;
}

const BLOCK = 512;
/** A tar archive ends with two blocks of zeros: without them it may have been cut between two entries. */
const TAR_END = 2 * BLOCK;

/** @param end where the last entry ends */
function requireEnd({ length, zeros }: Fed, end: number): void {
  if (zeros >= TAR_END && length - end >= TAR_END) return;
  throw new FormatError(
    `it is cut short: after ${length} bytes the ${TAR_END} zeros that end a tar archive are missing; download it again`,
  );
}

/** Writes a stream into the extractor, at the pace at which files are taken out. */
async function feed(extract: TarExtract, bytes: AsyncIterable<Uint8Array>, fed: Fed): Promise<void> {
  let open = true, goOn = () => {};
  // Two listeners for all: one for each wait would stay until the end, thousands of them.
  extract.on("drain", () => goOn());
  extract.on("close", () => {
    open = false;
    goOn();
  });
  try {
    for await (const chunk of bytes) {
      if (!open) return;
      fed.length += chunk.length;
      fed.zeros = zerosAtEnd(chunk, fed.zeros);
      if (!extract.write(chunk) && open) await new Promise<void>((resolve) => goOn = resolve);
    }
    extract.end();
  } catch (error) {
    extract.destroy(error as Error);
  }
}

/** How many of the last bytes are zero, where before them as many were. */
function zerosAtEnd(chunk: Uint8Array, before: number): number {
  const last = chunk.subarray(-TAR_END).findLastIndex((byte) => byte !== 0);
  const length = Math.min(chunk.length, TAR_END);
  return last < 0 ? Math.min(before + length, TAR_END) : length - 1 - last;
}

async function* zipFiles(path: string, allowance: Allowance): AsyncGenerator<ArchiveFile> {
  const { size } = await Deno.stat(path);
  if (size > MAX_ZIP_BYTES) {
    throw new FormatError(`it has ${size} bytes; a zip archive of at most ${MAX_ZIP_BYTES} is required: use tar`);
  }
  const archive = readZip(await Deno.readFile(path));
  for (const entry of archive.entries.values()) {
    const name = safePath(entry.name);
    allow(allowance, name, entry.size);
    if (entry.name.endsWith("/")) continue;
    const body = async function* () {
      yield await readEntry(archive, entry);
    };
    yield { path: name, size: entry.size, body: body() };
  }
}

/**
 * A path inside an archive, without `.` and empty parts.
 *
 * @throws {FormatError} if it would lead outside: absolute, with `..`, a drive or a backslash
 */
export function safePath(name: string): string {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  // deno-lint-ignore no-control-regex -- a control character has no place in a file's name
  if (name.startsWith("/") || parts.includes("..") || /[\\:\x00-\x1f]/.test(name)) {
    throw new FormatError(`its entry ${JSON.stringify(name)} leads outside; relative paths only are unpacked`);
  }
  return parts.join("/");
}

function allow(allowance: Allowance, path: string, size: number): void {
  allowance.bytes -= size;
  allowance.entries -= 1;
  if (allowance.bytes >= 0 && allowance.entries >= 0) return;
  throw new FormatError(`with its entry ${path} it unpacks to more bytes or files than such a data set has`);
}

/**
 * Writes a file of an archive, whole or not at all. One that is there with the right size was written whole before.
 *
 * @throws {FormatError} if the contents are not as long as stated, or there is a file where its folder must be, or the
 *   other way round
 */
export async function writeEntry(target: string, file: ArchiveFile): Promise<void> {
  try {
    await writeFile(target, file);
  } catch (cause) {
    if (!isFileForFolder(cause)) throw cause;
    throw new FormatError(
      `Cannot unpack ${file.path}: the archive has a file and a folder of one name, as ${file.path} or above it; ` +
        "names that are one or the other are required",
      { cause },
    );
  }
}

async function writeFile(target: string, { path, size, body }: ArchiveFile): Promise<void> {
  const found = await statOf(target);
  if (found?.isFile && found.size === size) return;
  await Deno.mkdir(target.replace(/\/[^/]*$/, ""), { recursive: true });
  let written = 0;
  {
    using file = await Deno.open(`${target}.partial`, { write: true, create: true, truncate: true });
    for await (const chunk of body) {
      for (let rest = chunk; rest.length > 0;) rest = rest.subarray(await file.write(rest));
      written += chunk.length;
    }
  }
  if (written !== size) throw new FormatError(`Cannot unpack ${path}: it holds ${written} bytes, but states ${size}`);
  await Deno.rename(`${target}.partial`, target);
}

/** The contents of a file of an archive. */
export async function readBody({ size, body }: ArchiveFile): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(size);
  let at = 0;
  for await (const chunk of body) whole.set(chunk, at), at += chunk.length;
  return whole;
}
