/**
 * Files that may be absent. Absence alone is no error: whatever else goes wrong is told.
 *
 * @module
 */

/** Removes a file, or a folder with all that is in it, if it is there. */
export async function removeIfThere(path: string, options?: Deno.RemoveOptions): Promise<void> {
  await Deno.remove(path, options).catch(ignoreAbsence);
}

/** What is at a path, links followed; `undefined` where nothing is. */
export async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  return await Deno.stat(path).catch(ignoreAbsence);
}

/** The text of a file; `undefined` where there is none. */
export async function textOf(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(path).catch(ignoreAbsence);
}

function ignoreAbsence(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
