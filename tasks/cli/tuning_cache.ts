/**
 * The file in which searches for the fastest kernels are kept between runs.
 *
 * @module
 */

import { dirname } from "node:path";
import { FormatError } from "../../lib/errors.ts";
import { formatTuningCache, parseTuningCache, type TuningCache } from "../../lib/tuning/cache.ts";
import { type CacheHost, type CacheName, type CachePlace, locateCache } from "./cache_place.ts";
import { writeWhole } from "./files.ts";

const TUNING_CACHE: CacheName = { name: "tuning.json", flag: "--tuning-cache names a file", writes: dirname };

/** The cache's file: the one given, else `swagpu/tuning.json` in the user's cache folder. */
export function locateTuningCache(given: string | undefined, host?: CacheHost): CachePlace {
  return locateCache(given, TUNING_CACHE, host);
}

/** Reads a cache; one that is not there is empty, and so is one that cannot be read, which `warn` is told. */
export async function readCache(path: string, warn: (line: string) => void): Promise<TuningCache> {
  try {
    return parseTuningCache(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    const why = error instanceof FormatError ? error.message.split(": ")[1] : (error as Error).message;
    warn(`the tuning cache ${path} is ignored: ${why}`);
    return {};
  }
}

/** Changes a cache that other processes may change as well; the file is replaced whole. */
export async function updateCache(path: string, change: (cache: TuningCache) => TuningCache): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  using lock = await Deno.open(`${path}.lock`, { create: true, write: true });
  await lock.lock(true);
  const cache = change(await readCache(path, () => {}));
  await writeWhole(path, new TextEncoder().encode(formatTuningCache(cache)), true);
}
