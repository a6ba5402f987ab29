/**
 * Files that may be absent. Absence alone is no error: whatever else goes wrong is told.
 *
 * @module
 */

/** Removes a file, or a folder with all that is in it, if it is there. */
export async function removeIfThere(path: string, options?: Deno.RemoveOptions): Promise<void> {
  await Deno.remove(path, options).catch(ignoreAbsence);
}

/** Removes a folder if it is there and empty, while others may fill or remove it. */
export async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await removeIfThere(folder);
  } catch (error) {
    // There is no class of error for a folder that is not empty.
    if (await isEmpty(folder).catch(ignoreAbsence)) throw error;
  }
}

async function isEmpty(folder: string): Promise<boolean> {
  for await (const _ of Deno.readDir(folder)) return false;
  return true;
}

/** What is at a path, links followed; `undefined` where nothing is. */
export async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  return await Deno.stat(path).catch(ignoreAbsence);
}

/** The text of a file; `undefined` where there is none. */
export async function textOf(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(path).catch(ignoreAbsence);
}

/** Whether something failed because a file is where a folder is needed, or a folder where a file is. */
export function isFileForFolder(error: unknown): boolean {
  const { NotADirectory, IsADirectory, AlreadyExists } = Deno.errors;
  return [NotADirectory, IsADirectory, AlreadyExists].some((kind) => error instanceof kind);
}

function ignoreAbsence(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
