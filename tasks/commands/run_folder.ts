/**
 * What a run left in its folder, as far as it can be told without opening samples.
 *
 * @module
 */

import { FormatError } from "../../lib/errors.ts";
import { listFolder } from "../../lib/data/files.ts";
import { readInput } from "../cli/files.ts";

/** A run's folder in brief. */
export interface RunContents {
  /** `config.json`: all that is needed to repeat the run. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Lines of `metrics.jsonl`; 0 where there is none. */
  readonly metricRows: number;
  /** The last whole line of `metrics.jsonl`. */
  readonly lastMetrics?: unknown;
  /** Files by path inside the folder, sorted. */
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

/**
 * Reads a run's folder.
 *
 * @throws FormatError if `config.json` or `metrics.jsonl` is damaged
 * @throws Error if there is no `config.json`
 */
export async function readRun(folder: string): Promise<RunContents> {
  const config = parse(await readText(`${folder}/config.json`, "a run's settings"), `${folder}/config.json`);
  const files = await filesIn(folder, "");
  if (!files.some(({ name }) => name === "metrics.jsonl")) return { config, metricRows: 0, files };
  const path = `${folder}/metrics.jsonl`;
  // A run that is going on, or was killed, may have left half a line at the end.
  const lines = (await readText(path, "a run's metrics")).split("\n").slice(0, -1);
  const last = lines.at(-1);
  return { config, metricRows: lines.length, lastMetrics: last && parse(last, path), files };
}

async function readText(path: string, as: string): Promise<string> {
  return new TextDecoder().decode(await readInput(path, as));
}

function parse(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`Cannot read ${path} as JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(`Cannot read ${path}: found ${text.slice(0, 40)}, a JSON object is required`);
  }
  return value as Record<string, unknown>;
}

async function filesIn(folder: string, prefix: string): Promise<{ name: string; bytes: number }[]> {
  const { folders, files } = await listFolder(`${folder}/${prefix}`);
  const here = await Promise.all(
    files.map(async (name) => ({ name: prefix + name, bytes: (await Deno.stat(`${folder}/${prefix}${name}`)).size })),
  );
  const below = await Promise.all(folders.map((name) => filesIn(folder, `${prefix}${name}/`)));
  return [...here, ...below.flat()];
}
