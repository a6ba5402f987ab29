/**
 * Learned priors between their two forms: one safetensors file, and the original's four files under one prefix.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import { readPrior, writeHalfPrior, writePrior } from "../../lib/priors/files.ts";
import type { StorageError } from "../../lib/priors/half.ts";
import type { RowScaling } from "../../lib/priors/normalisation.ts";
import { type PriorParts, type PriorPartsOptions, readPriorParts, writePriorParts } from "../../lib/priors/parts.ts";
import type { PriorFile } from "../../lib/priors/prior_file.ts";
import { exists, readInput } from "../cli/files.ts";

/** The paths of the original's four files. */
export function priorPaths(prefix: string): Record<keyof PriorParts, string> {
  const path = (part: string) => `${prefix}_${part}.pt`;
  return { model: path("model"), mean: path("mean"), variance: path("variance"), covmat: path("covmat") };
}

/** Whether a path is the prefix of the original's files rather than a file. */
export async function isPriorPrefix(path: string): Promise<boolean> {
  return !await exists(path) && await exists(priorPaths(path).mean);
}

/**
 * Reads a learned prior in either form.
 *
 * @param path a `.safetensors` file, or the prefix of four `.pt` files
 * @throws FormatError on damaged files, or four files whose conventions cannot be told
 */
export async function readPriorAt(path: string, options: PriorPartsOptions): Promise<PriorFile> {
  if (!await isPriorPrefix(path)) return readPrior(await readInput(path, "a learned prior"), path);
  const { model, mean, variance, covmat } = priorPaths(path);
  const read = (file: string) => readInput(file, "a part of a learned prior");
  return readPriorParts({
    model: await read(model),
    mean: await read(mean),
    variance: await read(variance),
    covmat: await read(covmat),
  }, options);
}

/** How the rows of four files are taken, in a line for people. */
export function normalisationLine(prefix: string, found: RowScaling): string {
  const are = found === "raw" ? "are not divided by the root of K - 1" : "are divided by the root of K - 1";
  return `${
    priorPaths(prefix).covmat
  }: by their size, the rows ${are}; --prior-normalisation raw|normalised overrules it`;
}

/** What rounding did to each tensor of a prior that was stored in half precision. */
export type StorageErrors = Readonly<Record<string, StorageError>>;

/** A learned prior's files. */
export interface PriorFiles {
  /** Bytes by path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Of a file in half precision. */
  readonly errors?: StorageErrors;
}

/**
 * A learned prior as files: one where the path ends in `.safetensors`, else the original's four under it as a prefix.
 *
 * @throws {UsageError} if the path ends in another format's extension, or the four files are to be in half precision
 */
export function encodePrior(prior: PriorFile, path: string, dtype: "float32" | "float16"): PriorFiles {
  if (/\.safetensors$/i.test(path)) {
    if (dtype === "float32") return { files: new Map([[path, writePrior(prior)]]) };
    const { bytes, errors } = writeHalfPrior(prior);
    return { files: new Map([[path, bytes]]), errors };
  }
  if (/\.(pt|pth|npz|npy)$/i.test(path)) {
    throw new UsageError(
      `Cannot write a learned prior to ${path}: a name ending in .safetensors, or a prefix for four .pt files, is ` +
        "required",
    );
  }
  if (dtype !== "float32") {
    throw new UsageError(`Cannot use --dtype ${dtype}: the original's four files are in float32`);
  }
  const parts = writePriorParts(prior), paths = priorPaths(path);
  return { files: new Map((Object.keys(paths) as (keyof PriorParts)[]).map((part) => [paths[part], parts[part]])) };
}
