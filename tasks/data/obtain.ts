/**
 * The files that a data set is made of: those that lie in its folder, those that were downloaded before, and the rest.
 *
 * @module
 */

import { FormatError, UsageError } from "../../lib/errors.ts";
import { download, type DownloadOptions, verify, WrongDigest } from "./download.ts";
import { removeIfThere, statOf, textOf } from "./files.ts";
import type { PreparedFile } from "./record.ts";
import { addressOf, type Source, type SourceFile } from "./sources.ts";

/** Where files come from, and how. */
export interface ObtainOptions extends Pick<DownloadOptions, "attempts" | "wait" | "stall" | "onProgress"> {
  readonly name: string;
  readonly source: Source;
  /** The data set's folder; archives that lie there are taken as they are. */
  readonly folder: string;
  /** The folder of what is downloaded. */
  readonly work: string;
  /** Address below which the files lie, instead of the official one. */
  readonly url?: string;
  /** Do not compare with the published digests. */
  readonly unverified?: boolean;
  /** Says what begins. */
  onStage?(text: string): void;
}

/** A file, and what is recorded of it. */
export interface Obtained {
  readonly path: string;
  readonly record: PreparedFile;
  /** Whether it was downloaded, now or before, and no digest tells whether it is what it should be. */
  readonly doubtful: boolean;
}

/**
 * A file that lies in the folder, was downloaded before from the same address, or is downloaded now; compared with its
 * published digest in any case.
 *
 * @throws Error with one line, as `download`; {@linkcode UsageError} if the file has no public address
 */
export async function obtain(file: SourceFile, options: ObtainOptions): Promise<Obtained> {
  const { folder, work, unverified, source, name, onStage, onProgress } = options;
  const digest = unverified ? undefined : file.digest;
  const verified = digest && `${digest.algorithm}:${digest.hex}`;
  const obtained = async (path: string, sha256: string, url?: string) => ({
    path,
    record: { name: file.name, url, bytes: (await Deno.stat(path)).size, sha256, verified },
    doubtful: url !== undefined && digest === undefined,
  });
  const own = `${folder}/${file.name}`;
  if (await statOf(own) !== undefined) {
    onStage?.(`checking ${own}`);
    return await obtained(own, await verify(own, { url: own, digest }));
  }
  const url = addressOf(file, options.url), path = `${work}/${file.name}`;
  if (url === undefined) {
    throw new UsageError(`Cannot prepare ${name}: ${file.name} has no public address. ${source.manual}`);
  }
  if (await isKept(path, url)) {
    onStage?.(`checking ${file.name}`);
    // What was downloaded without a digest may fail under one: then it is fetched anew.
    const sha256 = await verify(path, { url, digest }).catch((error) => {
      if (!(error instanceof WrongDigest)) throw error;
    });
    if (sha256 !== undefined) return await obtained(path, sha256, url);
  }
  onStage?.(`downloading ${url}`);
  // In this order: a file must never lie beside another one's address.
  await removeIfThere(path);
  await Deno.writeTextFile(addressPath(path), url);
  const { attempts, wait, stall } = options;
  const sha256 = await download({ url, path, digest, maxBytes: file.maxBytes }, { attempts, wait, stall, onProgress });
  return await obtained(path, sha256, url);
}

/**
 * Removes downloads that turned out not to be what they should be, where no digest had told: otherwise each further run
 * would fail on them again.
 *
 * @returns the error, with what was removed; itself where nothing was
 */
export async function forgetDamaged(files: readonly Obtained[], error: unknown): Promise<unknown> {
  if (!(error instanceof FormatError)) return error;
  const doubtful = files.filter((file) => file.doubtful);
  const named = doubtful.filter(({ record }) => error.message.includes(record.name));
  const damaged = named.length > 0 ? named : doubtful;
  if (damaged.length === 0) return error;
  for (const { path } of damaged) await removeIfThere(path);
  const names = damaged.map(({ record }) => `${record.name} (from ${record.url})`).join(", ");
  return new FormatError(`${error.message}; removed ${names}: run the command again to download anew`, {
    cause: error,
  });
}

/** Whether a file was downloaded whole from that address. */
async function isKept(path: string, url: string): Promise<boolean> {
  return await statOf(path) !== undefined && await textOf(addressPath(path)) === url;
}

function addressPath(path: string): string {
  return `${path}.address`;
}
