/**
 * Decoded images in a folder that processes share: a file an image, in 256 folders by the first byte of its key. A file
 * is written under another name and renamed, so a process that is killed leaves no half entry under a key; it is not
 * flushed to the disk, for what a power cut tears is told by its checksum and decoded again.
 *
 * @module
 */

import type { PixelCache } from "../../lib/data/pixel_cache.ts";
import { blockBytes, PixelLedger, UNFINISHED } from "./ledger.ts";

/** Which folder, and how it is used: plain data, for threads. */
export interface PixelFolderSettings {
  readonly path: string;
  /** Bytes that the folder may hold. */
  readonly limit: number;
  /** Whether it may be written. */
  readonly writable: boolean;
  /** When the command began, in milliseconds since 1970: what was used since then is not evicted. */
  readonly since: number;
}

/** An entry may take that share of the folder, so that one image does not push out many. */
const LARGEST_SHARE = 1 / 16;
/** Room is asked for by that share of the folder: few locks, and little that lies idle. */
const ROOM_SHARE = 1 / 1024;

/** One thread's view of the folder. */
export class PixelFolder implements PixelCache {
  readonly #settings: PixelFolderSettings;
  readonly #ledger: PixelLedger;
  /** Bytes that this thread may still write. */
  #room = 0;
  #writing: boolean;

  constructor(settings: PixelFolderSettings) {
    this.#settings = settings;
    this.#ledger = new PixelLedger(settings);
    this.#writing = settings.writable;
  }

  read(key: string): Uint8Array<ArrayBuffer> | undefined {
    const path = this.#pathOf(key);
    try {
      using file = Deno.openSync(path);
      const { size, mtime } = file.statSync();
      const bytes = new Uint8Array(size);
      let filled = 0;
      while (filled < size) {
        const read = file.readSync(bytes.subarray(filled));
        if (read === null) break;
        filled += read;
      }
      if (this.#settings.writable && (mtime?.getTime() ?? 0) < this.#settings.since) this.#markUsed(path);
      return bytes.subarray(0, filled);
    } catch {
      // It is not there, or was evicted at this moment, or cannot be read: it is as if it were not there.
      return undefined;
    }
  }

  write(key: string, bytes: Uint8Array<ArrayBuffer>): void {
    const needed = blockBytes(bytes.length);
    if (!this.#writing || needed > this.#settings.limit * LARGEST_SHARE) return;
    const path = this.#pathOf(key), unfinished = `${path}.${crypto.randomUUID().slice(0, 8)}${UNFINISHED}`;
    try {
      if (!this.#take(needed)) return;
      Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      Deno.writeFileSync(unfinished, bytes, { createNew: true });
      Deno.renameSync(unfinished, path);
    } catch {
      // The disk is full, or the folder is not to be written after all: the run goes on without more entries.
      this.#writing = false;
      removeIfThere(unfinished);
    }
  }

  #pathOf(key: string): string {
    return `${this.#settings.path}/${key.slice(0, 2)}/${key.slice(2)}`;
  }

  /** One mark a run suffices to tell what was used least recently. */
  #markUsed(path: string): void {
    const now = new Date();
    try {
      Deno.utimeSync(path, now, now);
    } catch {
      // Another user's entry: only its age is wrong.
    }
  }

  #take(needed: number): boolean {
    if (this.#room < needed) {
      const room = Math.max(needed, Math.floor(this.#settings.limit * ROOM_SHARE));
      this.#writing = this.#ledger.reserve(room);
      if (!this.#writing) return false;
      this.#room += room;
    }
    this.#room -= needed;
    return true;
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was never made.
  }
}
