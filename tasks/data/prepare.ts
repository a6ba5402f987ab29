/**
 * A data set from its official address to the layout that is read: downloaded, checked, unpacked, arranged.
 *
 * Everything happens in `<folder>/.prepare/<name>`; the data set's own folders appear whole, each in one step, at the end. So
 * nothing is ever half-arranged, and what was interrupted goes on where it stopped.
 *
 * @module
 */

import { listFolder } from "../../lib/data/files.ts";
import { UsageError } from "../../lib/errors.ts";
import { writeWhole } from "../cli/files.ts";
import { arrange, targetsOf } from "./arrange.ts";
import type { DownloadOptions } from "./download.ts";
import { isFileForFolder, removeIfEmpty, removeIfThere, textOf } from "./files.ts";
import { forgetDamaged, obtain, type Obtained } from "./obtain.ts";
import {
  differenceOf,
  missingTargets,
  type Prepared,
  type PreparedFile,
  readPlan,
  readRecord,
  recordPath,
} from "./record.ts";
import type { Source } from "./sources.ts";

/** What to prepare, and where. */
export interface PrepareOptions extends Pick<DownloadOptions, "attempts" | "wait" | "stall"> {
  readonly name: string;
  readonly source: Source;
  /** The data set's folder; made if it is missing. */
  readonly folder: string;
  /** Address below which the files lie, instead of the official one. */
  readonly url?: string;
  /** Do not compare with the published digests. */
  readonly unverified?: boolean;
  /** Leave the archives in the folder. */
  readonly keepArchives?: boolean;
  /** ImageNet: the classes to take. */
  readonly classes?: readonly string[];
  /** Says what begins. */
  onStage?(text: string): void;
  /** Bytes of a download, of all where known. */
  onProgress?(bytes: number, total: number | undefined): void;
}

const WORK = ".prepare";

/**
 * Prepares a data set; where it is prepared already, only says so. Several sets may share a folder whose names differ.
 *
 * @returns what was prepared, and whether it had been before
 * @throws Error with one line if a download fails, a digest is wrong, an archive is damaged or hostile, a folder of the
 *   data set's names is there that this did not make, or the set was prepared from elsewhere or with other classes
 */
export async function prepare(options: PrepareOptions): Promise<Prepared & { readonly already: boolean }> {
  const { folder, name, onStage } = options;
  const work = `${folder}/${WORK}/${name}`;
  await makeFolder(options, work);
  let record: Prepared | undefined, already = true;
  {
    // Held until the file is closed or the process ends: a second command waits, and finds all done.
    using lock = await Deno.open(`${work}/lock`, { create: true, write: true });
    await lock.lock(true);
    record = await readRecord(folder, name);
    const missing = record === undefined ? [] : await missingTargets(folder, record);
    if (missing.length > 0) onStage?.(`preparing ${name} anew: ${folder}/${missing[0]} is missing`);
    if (missing.length > 0 && missing.length === record?.targets.length) {
      // Nothing is left that another request would have to fit.
      await Deno.remove(recordPath(folder, name));
      record = undefined;
    }
    if (record !== undefined) requireSame(options, record, targetPaths(folder, record));
    if (record === undefined || missing.length > 0) {
      record = await carryOut(options, work, record);
      already = false;
    }
  }
  // Another command that waited may have removed it, or another set may be prepared beside it.
  await removeIfThere(work, { recursive: true });
  await removeIfEmpty(`${folder}/${WORK}`);
  return { ...record, already };
}

async function makeFolder({ name, folder }: PrepareOptions, work: string): Promise<void> {
  await Deno.mkdir(work, { recursive: true }).catch((cause) => {
    if (!isFileForFolder(cause)) throw cause;
    throw new UsageError(
      `Cannot prepare ${name} in ${folder}: ${work} cannot be made, for ${folder} or what is above it or ` +
        `${folder}/${WORK} is a file; a folder is required (--data-dir)`,
      { cause },
    );
  });
}

/** Refuses a request that what is there does not answer; `remedy` is what to remove. */
function requireSame(options: PrepareOptions, found: Prepared, remedy: string): void {
  const { name, folder } = options, difference = differenceOf(options, found);
  if (difference === undefined) return;
  throw new UsageError(
    `Cannot prepare ${name} in ${folder}: ${name} is there, but ${difference}; another folder is required, or remove ` +
      `${remedy} first`,
  );
}

/** @param had what is left of the data set, where some of it is */
async function carryOut(options: PrepareOptions, work: string, had: Prepared | undefined): Promise<Prepared> {
  const { name, folder } = options;
  const plan = `${work}/plan.json`, pending = await readPlan(plan, folder, name);
  if (pending !== undefined) requireSame(options, pending, `${work} and ${targetPaths(folder, pending)}`);
  const record = pending ?? await arrangeAnew(options, work, had);
  if (pending === undefined) await writeWhole(plan, encode(record), true);
  for (const target of record.targets) await moveIfThere(`${work}/${STAGING}/${target}`, `${folder}/${target}`);
  if (options.keepArchives) {
    for (const { name } of options.source.files) await moveIfThere(`${work}/${name}`, `${folder}/${name}`);
  }
  await writeWhole(recordPath(folder, name), encode(record), true);
  return record;
}

const STAGING = "arranged";

/** Downloads and arranges what is not there; resolves to what will be prepared once it has been moved. */
async function arrangeAnew(options: PrepareOptions, work: string, had: Prepared | undefined): Promise<Prepared> {
  const { name, folder, source, classes, onStage } = options;
  const staging = `${work}/${STAGING}`;
  await requireFree(options, targetsOf(name), had);
  const obtained: Obtained[] = [];
  for (const file of source.files) obtained.push(await obtain(file, { ...options, work }));
  const files = obtained.map(({ record }) => record);
  if (had !== undefined) requireSameFiles(options, files, had);
  await forgetOther(work, staging, JSON.stringify([files.map(({ sha256 }) => sha256), classes]));
  onStage?.(`unpacking ${name}`);
  await Deno.mkdir(staging, { recursive: true });
  const allowance = { bytes: source.maxUnpackedBytes, entries: source.maxEntries };
  const paths = new Map(obtained.map(({ path, record }) => [record.name, path]));
  await arrange(name, { files: paths, staging, allowance, classes }).catch(async (error) => {
    throw await forgetDamaged(obtained, error);
  });
  const { folders, files: loose } = await listFolder(staging);
  const targets = [...folders, ...loose];
  await requireFree(options, targets, had);
  // What is there already stays as it is.
  for (const target of targets) {
    if (await exists(`${folder}/${target}`)) await removeIfThere(`${staging}/${target}`, { recursive: true });
  }
  return { name, files, classes, targets };
}

/** Refuses names that are taken, but by what is left of the same set and by files that it is made of. */
async function requireFree(
  { name, folder, source }: PrepareOptions,
  targets: readonly string[],
  had: Prepared | undefined,
): Promise<void> {
  const own = new Set([...had?.targets ?? [], ...source.files.map(({ name }) => name)]);
  for (const target of targets) {
    if (own.has(target) || !await exists(`${folder}/${target}`)) continue;
    throw new Error(`Cannot prepare ${name} in ${folder}: ${folder}/${target} exists; another folder is required`);
  }
}

/** What is added to the rest of a data set must be of the same files. */
function requireSameFiles({ name, folder }: PrepareOptions, files: readonly PreparedFile[], had: Prepared): void {
  const other = files.find((file) => !had.files.some(({ sha256 }) => sha256 === file.sha256));
  if (other === undefined) return;
  throw new Error(
    `Cannot prepare ${name} in ${folder} anew: a part of it is left that was made of another ${other.name}; another ` +
      `folder is required, or remove ${targetPaths(folder, had)} first`,
  );
}

function targetPaths(folder: string, { targets }: Prepared): string {
  return targets.map((target) => `${folder}/${target}`).join(", ");
}

/** Empties the staging folder where it was filled from other files. */
async function forgetOther(work: string, staging: string, identity: string): Promise<void> {
  const path = `${work}/identity.json`;
  if (await textOf(path) !== identity) await removeIfThere(staging, { recursive: true });
  await Deno.writeTextFile(path, identity);
}

async function moveIfThere(from: string, to: string): Promise<void> {
  if (await exists(from)) await Deno.rename(from, to);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value, null, 2) + "\n");
}
