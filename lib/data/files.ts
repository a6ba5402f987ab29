/**
 * Looking at folders and files, with errors that say what was looked for.
 *
 * @module
 */

/** True if `path` is an existing folder. */
export async function isFolder(path: string): Promise<boolean> {
  return (await statOf(path))?.isDirectory ?? false;
}

/** True if `path` is an existing file. */
export async function isFile(path: string): Promise<boolean> {
  return (await statOf(path))?.isFile ?? false;
}

async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/**
 * Names in a folder, folders and files apart, each sorted by code unit. Symbolic links count as what they point to.
 */
export async function listFolder(path: string): Promise<{ folders: string[]; files: string[] }> {
  const folders: string[] = [], files: string[] = [];
  for await (const entry of Deno.readDir(path)) {
    const folder = entry.isSymlink ? await isFolder(`${path}/${entry.name}`) : entry.isDirectory;
    (folder ? folders : files).push(entry.name);
  }
  return { folders: folders.sort(), files: files.sort() };
}

function isAbsence(error: unknown): boolean {
  // A path through a file ("images.zip/train") fails with "not a directory", which Deno does not always name.
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
