/**
 * Reading and writing the files that a command names, with errors that say what to do.
 *
 * @module
 */

import { basename, dirname, resolve } from "node:path";

/**
 * The bytes of a file.
 *
 * @param as what it is to be read as, for the message: `a checkpoint`
 * @throws Error with one line that names the path if it cannot be read
 */
export async function readInput(path: string, as: string): Promise<Uint8Array> {
  try {
    return await readAtOnce(path);
  } catch (cause) {
    throw new Error(`Cannot read ${path} as ${as}: ${reason(cause, "an existing file is required")}`, { cause });
  }
}

/** Reads into memory of the file's size: `Deno.readFile` grows its own, to more than twice what a large file needs. */
async function readAtOnce(path: string): Promise<Uint8Array> {
  using file = await Deno.open(path);
  const { isFile, size } = await file.stat();
  if (!isFile || size === 0) return await Deno.readFile(path);
  const bytes = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const read = await file.read(bytes.subarray(filled));
    if (read === null) break;
    filled += read;
  }
  return bytes.subarray(0, filled);
}

/**
 * The bytes of a file below a folder. A link that leads out of the folder is refused, and so is what is neither file nor
 * folder: reading a pipe might wait forever.
 *
 * @throws Error as {@linkcode readInput}
 */
export async function readBelow(folder: string, name: string, as: string): Promise<Uint8Array> {
  const path = `${folder}/${name}`;
  const [root, real] = await Promise.all([Deno.realPath(folder), Deno.realPath(path)]).catch((cause) => {
    throw new Error(`Cannot read ${path} as ${as}: ${reason(cause, "an existing file is required")}`, { cause });
  });
  const below = root.replace(/[\\/]$/, "");
  if (!real.startsWith(below) || !/^[\\/]/.test(real.slice(below.length))) {
    throw new Error(`Cannot read ${path} as ${as}: it leads to ${real}, and a file inside ${folder} is required`);
  }
  const { isFile, isDirectory } = await Deno.stat(real);
  if (isFile || isDirectory) return await readInput(path, as);
  throw new Error(`Cannot read ${path} as ${as}: it is a pipe or a device, and an ordinary file is required`);
}

/**
 * Temporary files that are being written; {@linkcode removeUnfinished} deletes them when the process is interrupted.
 */
const unfinished = new Set<string>();

/**
 * Writes one file whole or not at all; see {@linkcode writeAllWhole}.
 *
 * @throws Error with one line that names the path if it cannot be written, or exists although `replace` is false
 */
export async function writeWhole(path: string, bytes: Uint8Array, replace: boolean): Promise<void> {
  await writeAllWhole(new Map([[path, bytes]]), replace);
}

/**
 * Writes files whole or not at all: each to a temporary file beside it, which is flushed to the disk; once all are
 * there they take their names. What a killed process left of them is removed then.
 *
 * @param files bytes by path
 * @param replace whether existing files may be replaced
 * @throws Error with one line that names the path that cannot be written, or exists although `replace` is false
 */
export async function writeAllWhole(files: ReadonlyMap<string, Uint8Array>, replace: boolean): Promise<void> {
  if (!replace) { for (const path of files.keys()) await requireAbsent(path); }
  const temporaries = new Map<string, string>();
  try {
    for (const [path, bytes] of files) {
      const temporary = temporaryBeside(path);
      temporaries.set(path, temporary);
      unfinished.add(temporary);
      await explained(path, "an existing folder is required", () => writeFlushed(temporary, bytes));
    }
    for (const [path, temporary] of temporaries) {
      await explained(path, "a file's path is required", () => Deno.rename(temporary, path));
    }
    for (const path of files.keys()) await removeLeftovers(dirname(path), basename(path));
  } finally {
    for (const temporary of temporaries.values()) {
      await Deno.remove(temporary).catch(() => {});
      unfinished.delete(temporary);
    }
  }
}

/** What the name of a temporary file ends with. */
const TEMPORARY = /\.[0-9a-f]{8}\.partial$/;

function temporaryBeside(path: string): string {
  return `${path}.${crypto.randomUUID().slice(0, 8)}.partial`;
}

/**
 * Deletes the temporary files that a killed process left in a folder; those that this process is writing stay. Does
 * nothing where the folder may not be listed.
 *
 * @param target the name of the file that they were to become; all of them unless given
 */
export async function removeLeftovers(folder: string, target?: string): Promise<void> {
  // Without the question: on a terminal Deno would put it to the user.
  if ((await Deno.permissions.query({ name: "read", path: folder })).state !== "granted") return;
  const writing = new Set([...unfinished].map((path) => resolve(path)));
  for (const { name, isFile } of await Array.fromAsync(Deno.readDir(folder)).catch(() => [])) {
    const path = `${folder}/${name}`;
    if (!isFile || !TEMPORARY.test(name) || writing.has(resolve(path))) continue;
    if (target !== undefined && name.replace(TEMPORARY, "") !== target) continue;
    await Deno.remove(path).catch(() => {});
  }
}

async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await file.write(rest));
  await file.sync();
}

async function explained(path: string, required: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    throw new Error(`Cannot write ${path}: ${reason(cause, required)}`, { cause });
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

/** The folder at a path, or the nearest one above it that is there: the one in which it would be made. */
export async function nearestFolder(path: string): Promise<string> {
  let nearest = path;
  while (!await exists(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest);
  return nearest;
}

/**
 * Refuses a folder that cannot be written, by a file that is removed at once.
 *
 * @param as what is to be written, for the message: `the run runs/a`
 */
export async function requireWritableFolder(folder: string, as: string): Promise<void> {
  try {
    await Deno.remove(await Deno.makeTempFile({ dir: folder, prefix: "swagpu-", suffix: ".partial" }));
  } catch (cause) {
    throw new Error(`Cannot write ${as}: ${(cause as Error).message}; a folder that can be written is required`, {
      cause,
    });
  }
}

/** Whether a path exists. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Deletes what {@linkcode writeAllWhole} has not finished. */
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
