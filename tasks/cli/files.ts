/**
 * Reading and writing the files that a command names, with errors that say what to do.
 *
 * @module
 */

/**
 * The bytes of a file.
 *
 * @param as what it is to be read as, for the message: `a checkpoint`
 * @throws Error with one line that names the path if it cannot be read
 */
export async function readInput(path: string, as: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (cause) {
    throw new Error(`Cannot read ${path} as ${as}: ${reason(cause, "an existing file is required")}`, { cause });
  }
}

/** Temporary files that are being written; {@linkcode removeUnfinished} deletes them when the process is interrupted. */
const unfinished = new Set<string>();

/**
 * Writes a file whole or not at all: to a temporary file beside it, which is flushed to the disk and then takes its name.
 *
 * @throws Error with one line that names the path if it cannot be written, or exists and `replace` is false
 */
export async function writeWhole(path: string, bytes: Uint8Array, replace: boolean): Promise<void> {
  if (!replace) await requireAbsent(path);
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.partial`;
  unfinished.add(temporary);
  try {
    using file = await Deno.open(temporary, { write: true, createNew: true });
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await file.write(rest));
    await file.sync();
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    unfinished.delete(temporary);
    throw new Error(`Cannot write ${path}: ${reason(cause, "an existing folder is required")}`, { cause });
  }
  try {
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    throw new Error(`Cannot write ${path}: ${reason(cause, "a file's path is required")}`, { cause });
  } finally {
    unfinished.delete(temporary);
  }
}

/** Refuses a path that exists. */
export async function requireAbsent(path: string): Promise<void> {
  const found = await Deno.lstat(path).then(() => true, (cause) => {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw new Error(`Cannot write ${path}: ${reason(cause, "a file's path is required")}`, { cause });
  });
  if (found) throw new Error(`Cannot write ${path}: it exists, and a new path is required; --force replaces it`);
}

/** Deletes what {@linkcode writeWhole} has not finished. */
export function removeUnfinished(): void {
  for (const path of unfinished) {
    try {
      Deno.removeSync(path);
    } catch {
      // It is gone already, or was never made.
    }
  }
  unfinished.clear();
}

/** Why a file operation failed, in words. */
function reason(cause: unknown, required: string): string {
  if (cause instanceof Deno.errors.NotFound) return `there is no such file or folder, and ${required}`;
  if (cause instanceof Deno.errors.IsADirectory) return `it is a folder, and ${required}`;
  if (cause instanceof Deno.errors.NotADirectory) return `a part of the path is not a folder, and ${required}`;
  if (cause instanceof Deno.errors.PermissionDenied) return "the system refuses access to it";
  return cause instanceof Error ? cause.message : String(cause);
}
