/**
 * What tells the content of a set of files from another of the same names and sizes.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** Bytes of a set that are hashed: about three seconds where they are in memory. */
const HASHED_BYTES = 4 * 2 ** 30;
/** Bytes read at once. */
const BLOCK = 2 ** 20;

/** A file and its size. */
export interface SizedFile {
  /** Where it is. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * A description of the content of files: which were read, and the sha256, in hex, of all that they hold. Every file is
 * read whole where they hold `limit` bytes or less in all; of more, every second, third, ... file, so that about `limit`
 * bytes are read.
 *
 * @param limit default 4 GiB
 * @throws {Error} if a file cannot be read
 */
export function describeContents(files: readonly SizedFile[], limit: number = HASHED_BYTES): string {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const stride = Math.max(1, Math.ceil(total / limit));
  const hash = createHash("sha256"), block = new Uint8Array(BLOCK);
  for (let index = 0; index < files.length; index += stride) {
    using file = Deno.openSync(files[index].path);
    for (let read = file.readSync(block); read !== null; read = file.readSync(block)) {
      hash.update(block.subarray(0, read));
    }
  }
  return `every ${stride}: ${hash.digest("hex")}`;
}
