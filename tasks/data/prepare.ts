/**
 * A data set from its official address to the layout that is read: downloaded, checked, unpacked, arranged.
 *
 * Everything happens in `<folder>/.prepare`; the data set's own folders appear whole, each in one step, at the end. So
 * nothing is ever half-arranged, and what was interrupted goes on where it stopped.
 *
 * @module
 */

import { listFolder } from "../../lib/data/files.ts";
import { UsageError } from "../../lib/errors.ts";
import { writeWhole } from "../cli/files.ts";
import { arrange } from "./arrange.ts";
import type { DownloadOptions } from "./download.ts";
import { removeIfThere, textOf } from "./files.ts";
import { forgetDamaged, obtain, type Obtained } from "./obtain.ts";
import { type Plan, type Prepared, readPlan, readRecord, RECORD } from "./record.ts";
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
 * Prepares a data set; where it is prepared already, only says so.
 *
 * @returns what was prepared, and whether it had been before
 * @throws Error with one line if a download fails, a digest is wrong, an archive is damaged or hostile, or a folder of
 *   the data set's names is there that this did not make
 */
export async function prepare(options: PrepareOptions): Promise<Prepared & { readonly already: boolean }> {
  const { folder } = options;
  await Deno.mkdir(`${folder}/${WORK}`, { recursive: true });
  let already = true;
  {
    // Held until the file is closed or the process ends: a second command waits, and finds all done.
    using lock = await Deno.open(`${folder}/${WORK}/lock`, { create: true, write: true });
    await lock.lock(true);
    const found = await readRecord(folder);
    if (found !== undefined) requireSame(options, found);
    if (found === undefined) {
      await carryOut(options);
      already = false;
    }
  }
  // Another command that waited may have removed it.
  await removeIfThere(`${folder}/${WORK}`, { recursive: true });
  return { ...(await readRecord(folder))!, already };
}

function requireSame({ name, folder }: PrepareOptions, found: Prepared): void {
  if (found.name === name) return;
  throw new UsageError(`Cannot prepare ${name} in ${folder}: it holds ${found.name}; another folder is required`);
}

async function carryOut(options: PrepareOptions): Promise<void> {
  const { name, folder, source, classes, onStage } = options;
  const work = `${folder}/${WORK}`, staging = `${work}/arranged`, plan = `${work}/plan.json`;
  let planned: Plan | undefined = await readPlan(plan, folder);
  if (planned !== undefined) requireSame(options, planned.record);
  if (planned === undefined) {
    const obtained: Obtained[] = [];
    for (const file of source.files) obtained.push(await obtain(file, { ...options, work }));
    const files = obtained.map(({ record }) => record);
    const paths = new Map(obtained.map(({ path, record }) => [record.name, path]));
    await forgetOther(work, staging, JSON.stringify([files.map(({ sha256 }) => sha256), classes]));
    onStage?.(`unpacking ${name}`);
    await Deno.mkdir(staging, { recursive: true });
    const allowance = { bytes: source.maxUnpackedBytes, entries: source.maxEntries };
    await arrange(name, { files: paths, staging, allowance, classes }).catch(async (error) => {
      throw await forgetDamaged(obtained, error);
    });
    const { folders, files: loose } = await listFolder(staging);
    const targets = [...folders, ...loose];
    for (const target of targets) {
      if (!await exists(`${folder}/${target}`)) continue;
      throw new Error(`Cannot prepare ${name} in ${folder}: ${folder}/${target} exists; another folder is required`);
    }
    planned = { record: { name, files }, targets };
    await writeWhole(plan, encode(planned), true);
  }
  const { record, targets } = planned;
  for (const target of targets) {
    if (await exists(`${staging}/${target}`)) await Deno.rename(`${staging}/${target}`, `${folder}/${target}`);
  }
  if (options.keepArchives) {
    for (const { name } of source.files) {
      if (await exists(`${work}/${name}`)) await Deno.rename(`${work}/${name}`, `${folder}/${name}`);
    }
  }
  await writeWhole(`${folder}/${RECORD}`, encode(record), true);
}

/** Empties the staging folder where it was filled from other files. */
async function forgetOther(work: string, staging: string, identity: string): Promise<void> {
  const path = `${work}/identity.json`;
  if (await textOf(path) !== identity) await removeIfThere(staging, { recursive: true });
  await Deno.writeTextFile(path, identity);
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
