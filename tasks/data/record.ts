/**
 * What a data folder says of itself: the record of what was prepared, and while it is prepared the plan of the last
 * moves.
 *
 * @module
 */

import { FormatError } from "../../lib/errors.ts";
import { textOf } from "./files.ts";

/** What was prepared; written to `swagpu-data.json` as well. */
export interface Prepared {
  readonly name: string;
  readonly files: readonly PreparedFile[];
}

/** A file that a data set was made of. */
export interface PreparedFile {
  readonly name: string;
  /** Address; none for a file that lay there. */
  readonly url?: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The published digest that it was compared with. */
  readonly verified?: string;
}

/** What is left to do once all is arranged. */
export interface Plan {
  readonly record: Prepared;
  /** Files and folders to be moved into the data folder. */
  readonly targets: readonly string[];
}

/** Name of the record in a data folder. */
export const RECORD = "swagpu-data.json";

/**
 * The record of a folder; `undefined` where nothing was prepared.
 *
 * @throws {FormatError} if it is not what was written
 */
export async function readRecord(folder: string): Promise<Prepared | undefined> {
  const path = `${folder}/${RECORD}`, text = await textOf(path);
  if (text === undefined) return undefined;
  return parse(
    text,
    isRecord,
    (found) =>
      `Cannot read ${path} as the record of a prepared data set: ${found}; prepare it in another folder, or remove the ` +
      "file and the data set's files and folders to prepare it anew",
  );
}

/**
 * The plan at a path; `undefined` where there is none.
 *
 * @throws {FormatError} if it is not what was written: the archives are kept, so that all can be arranged anew
 */
export async function readPlan(path: string, folder: string): Promise<Plan | undefined> {
  const text = await textOf(path);
  if (text === undefined) return undefined;
  return parse(
    text,
    isPlan,
    (found) =>
      `Cannot go on preparing ${folder}: ${path} is no plan of what is to be moved: ${found}; remove it, and what has been ` +
      "moved already, to arrange what was downloaded anew",
  );
}

function parse<T>(text: string, is: (value: unknown) => value is T, message: (found: string) => string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(message((cause as Error).message), { cause });
  }
  if (is(value)) return value;
  throw new FormatError(message("its fields are not those that were written"));
}

function isRecord(value: unknown): value is Prepared {
  const { name, files } = fieldsOf(value);
  return typeof name === "string" && Array.isArray(files) && files.every((file) => {
    const { name, bytes, sha256 } = fieldsOf(file);
    return typeof name === "string" && typeof bytes === "number" && typeof sha256 === "string";
  });
}

/** A target is a name: a plan that came with a folder must not move anything elsewhere. */
function isPlan(value: unknown): value is Plan {
  const { record, targets } = fieldsOf(value);
  return isRecord(record) && Array.isArray(targets) &&
    targets.every((target) => typeof target === "string" && /^[^/\\:]+$/.test(target) && !/^\.\.?$/.test(target));
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
