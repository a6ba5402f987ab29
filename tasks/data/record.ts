/**
 * What a data folder says of itself: of each data set a record of what was prepared, and while it is prepared the same
 * as the plan of the last moves.
 *
 * @module
 */

import { FormatError } from "../../lib/errors.ts";
import { statOf, textOf } from "./files.ts";
import { addressOf, type Source } from "./sources.ts";

/** What was prepared; written to the record as well. */
export interface Prepared {
  readonly name: string;
  readonly files: readonly PreparedFile[];
  /** The classes that were taken; absent where all were. */
  readonly classes?: readonly string[];
  /** Files and folders of the data folder that are the data set. */
  readonly targets: readonly string[];
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

/** What is asked for. */
export interface Request {
  readonly source: Source;
  readonly url?: string;
  readonly classes?: readonly string[];
}

/** Where the record of a data set is in its folder. */
export function recordPath(folder: string, name: string): string {
  return `${folder}/swagpu-data-${name}.json`;
}

/**
 * The record of a data set; `undefined` where it was not prepared.
 *
 * @throws {FormatError} if it is not what was written
 */
export async function readRecord(folder: string, name: string): Promise<Prepared | undefined> {
  const path = recordPath(folder, name);
  return await read(
    path,
    name,
    (found) =>
      `Cannot read ${path} as the record of a prepared data set: ${found}; prepare it in another folder, or remove the ` +
      "file and the data set's files and folders to prepare it anew",
  );
}

/**
 * The plan at a path: the record that will be true once its targets have been moved. `undefined` where there is none.
 *
 * @throws {FormatError} if it is not what was written: the archives are kept, so that all can be arranged anew
 */
export async function readPlan(path: string, folder: string, name: string): Promise<Prepared | undefined> {
  return await read(
    path,
    name,
    (found) =>
      `Cannot go on preparing ${folder}: ${path} is no plan of what is to be moved: ${found}; remove it, and what has been ` +
      "moved already, to arrange what was downloaded anew",
  );
}

/** Which targets are gone. */
export async function missingTargets(folder: string, { targets }: Prepared): Promise<string[]> {
  const missing: string[] = [];
  for (const target of targets) {
    if (await statOf(`${folder}/${target}`) === undefined) missing.push(target);
  }
  return missing;
}

/**
 * How what was prepared differs from what is asked for; `undefined` where it is the same. What was compared with a
 * published digest is the same from everywhere.
 */
export function differenceOf({ source, url, classes }: Request, found: Prepared): string | undefined {
  if (JSON.stringify(classes) !== JSON.stringify(found.classes)) {
    return `it has ${classesText(found.classes)}, and ${classesText(classes, found.classes)} are asked for`;
  }
  for (const file of source.files) {
    const had = found.files.find(({ name }) => name === file.name);
    if (had === undefined) {
      return `it was made of ${found.files.map(({ name }) => name).join(", ")}, and ${file.name} is asked for`;
    }
    const address = addressOf(file, url);
    if (had.url === undefined || had.verified !== undefined || address === undefined || address === had.url) continue;
    return `its ${file.name} came from ${had.url}, and that of ${address} is asked for`;
  }
  return undefined;
}

/** How many classes, and one that the others have not. */
function classesText(classes: readonly string[] | undefined, others: readonly string[] = []): string {
  if (classes === undefined) return "all classes";
  const sample = classes.find((name) => !others.includes(name)) ?? classes[0];
  return `${classes.length} classes (as ${sample})`;
}

async function read(path: string, name: string, message: (found: string) => string): Promise<Prepared | undefined> {
  const text = await textOf(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(message((cause as Error).message), { cause });
  }
  if (!isRecord(value)) throw new FormatError(message("its fields are not those that were written"));
  if (value.name !== name) throw new FormatError(message(`it is that of ${value.name}`));
  return value;
}

function isRecord(value: unknown): value is Prepared {
  const { name, files, classes = [], targets } = fieldsOf(value);
  return typeof name === "string" && isListOf(files, isFile) && isListOf(classes, isText) &&
    isListOf(targets, isTarget);
}

function isFile(value: unknown): boolean {
  const { name, bytes, sha256 } = fieldsOf(value);
  return typeof name === "string" && typeof bytes === "number" && typeof sha256 === "string";
}

/** A target is a name: a plan that came with a folder must not move anything elsewhere. */
function isTarget(value: unknown): boolean {
  return isText(value) && /^[^/\\:]+$/.test(value) && !/^\.\.?$/.test(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isListOf(value: unknown, is: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(is);
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
