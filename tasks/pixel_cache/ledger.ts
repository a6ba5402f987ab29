/**
 * Keeps a folder of decoded images within its bound. A file of the folder holds how many bytes are taken, under a lock
 * that ends with its process; who wants to write takes room first, so a process that is killed leaves too high a number
 * and never too low a one. Once the number reaches the bound the folder is looked through, which puts the number right,
 * and the entries that were used least recently are deleted.
 *
 * @module
 */

/** Ending of a file that is being written. */
export const UNFINISHED = ".partial";

const BLOCK_BYTES = 4096;

/** Evicting goes on down to this share of the bound: the folder is looked through rarely. */
const EVICTED_TO = 0.9;
/** What other threads may have been promised and have not written yet, which looking through the folder does not show. */
const PROMISED_SHARE = 1 / 64;
/** Age at which a file that was not finished is taken to be left by a process that was killed, in milliseconds. */
const ABANDONED_AFTER = 3_600_000;
/** Two numbers of 16 digits and a blank. */
const RECORD_BYTES = 33;

/** Which folder, how large it may become, and since when entries are in use. */
export interface LedgerSettings {
  readonly path: string;
  readonly limit: number;
  readonly since: number;
}

/** What a file takes on a disk. */
export function blockBytes(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
}

/** What is known of the folder without looking through it. */
interface LedgerRecord {
  /** Bytes taken, at most. */
  readonly taken: number;
  /** The latest beginning of a run whose images were found to fill the folder. */
  readonly fullOf: number;
}

interface Entry {
  readonly path: string;
  readonly bytes: number;
  /** When it was used last, in milliseconds since 1970. */
  readonly used: number;
}

/** The number of bytes taken. */
export class PixelLedger {
  readonly #settings: LedgerSettings;

  constructor(settings: LedgerSettings) {
    this.#settings = settings;
  }

  /**
   * Takes room for bytes that will be written, evicting entries if need be.
   *
   * @returns false if there is none: what is in use fills the folder
   * @throws {Error} if the folder cannot be written
   */
  reserve(bytes: number): boolean {
    const { path, limit, since } = this.#settings;
    Deno.mkdirSync(path, { recursive: true });
    using file = Deno.openSync(numberPath(path), { read: true, write: true, create: true });
    file.lockSync(true);
    const found = readRecord(file);
    let { taken } = found;
    // A run's threads need not all look through a folder that one of them found full of what is in use.
    if (taken + bytes > limit && since > found.fullOf) {
      taken = this.#evict(limit * EVICTED_TO - bytes) + limit * PROMISED_SHARE;
    }
    const granted = taken + bytes <= limit;
    writeRecord(file, granted ? { taken: taken + bytes, fullOf: found.fullOf } : { taken, fullOf: since });
    return granted;
  }

  /** Makes a folder that is there no larger than its bound, which may be lower than it was. */
  trim(): void {
    try {
      if (statOf(numberPath(this.#settings.path)) !== undefined) this.reserve(0);
    } catch {
      // It is not to be written after all, so it will not grow.
    }
  }

  /** Deletes what is not in use, the oldest first, until at most `wanted` bytes remain; returns how many do. */
  #evict(wanted: number): number {
    const entries = [...entriesOf(this.#settings.path)].sort((a, b) => a.used - b.used);
    let taken = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { path, bytes, used } of entries) {
      if (taken <= wanted || used >= this.#settings.since) break;
      if (removed(path)) taken -= bytes;
    }
    return taken;
  }
}

/** Every entry; files that were abandoned are deleted on the way. */
function* entriesOf(folder: string): Generator<Entry> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (!isDirectory || !/^[0-9a-f]{2}$/.test(name)) continue;
    for (const file of Deno.readDirSync(`${folder}/${name}`)) {
      const path = `${folder}/${name}/${file.name}`, facts = statOf(path);
      if (facts === undefined) continue;
      const used = facts.mtime?.getTime() ?? 0, unfinished = path.endsWith(UNFINISHED);
      if (unfinished && used < Date.now() - ABANDONED_AFTER && removed(path)) continue;
      yield { path, bytes: blockBytes(facts.size), used: unfinished ? Infinity : used };
    }
  }
}

function numberPath(folder: string): string {
  return `${folder}/taken`;
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    // It was renamed or deleted since the folder was read.
    return undefined;
  }
}

function removed(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

/** What the file holds: nothing that is known, unless it is whole. */
function readRecord(file: Deno.FsFile): LedgerRecord {
  const bytes = new Uint8Array(RECORD_BYTES + 1);
  const text = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
  const [, taken, fullOf] = /^(\d{16}) (\d{16})$/.exec(text) ?? [];
  return taken === undefined ? { taken: Infinity, fullOf: -1 } : { taken: Number(taken), fullOf: Number(fullOf) };
}

/** Replaces the record in place. */
function writeRecord(file: Deno.FsFile, { taken, fullOf }: LedgerRecord): void {
  const digits = (value: number) => String(Math.ceil(Math.max(0, value))).padStart(16, "0");
  file.truncateSync(RECORD_BYTES);
  file.seekSync(0, Deno.SeekMode.Start);
  file.writeSync(new TextEncoder().encode(`${digits(taken)} ${digits(fullOf)}`));
}
