/**
 * The file in which searches for the fastest kernels are kept between runs. Nothing here asks for a permission: where
 * one is missing there is no cache.
 *
 * @module
 */

import { FormatError } from "../../lib/errors.ts";
import { formatTuningCache, parseTuningCache, type TuningCache } from "../../lib/tuning/cache.ts";
import { writeWhole } from "./files.ts";

/** Where the cache is, or why there is none. */
export type CachePlace = { readonly path: string; readonly writable: boolean } | { readonly missing: string };

/** What the place depends on; replaced in tests. */
export interface CacheHost {
  readonly os: string;
  /** The value of an environment variable; `undefined` where it is not set or may not be read. */
  env(name: string): string | undefined;
  /** Whether a path may be read or written without asking. */
  may(name: "read" | "write", path: string): boolean;
}

/** This process. */
export const PROCESS_HOST: CacheHost = {
  os: Deno.build.os,
  env: (variable) =>
    Deno.permissions.querySync({ name: "env", variable }).state === "granted" ? Deno.env.get(variable) : undefined,
  may: (name, path) => Deno.permissions.querySync({ name, path }).state === "granted",
};

/** Variables that name the user's folders, by system; the first that is set counts, with what is appended to it. */
const FOLDERS: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  darwin: [["HOME", "/Library/Caches"]],
  windows: [["LOCALAPPDATA", ""]],
  other: [["XDG_CACHE_HOME", ""], ["HOME", "/.cache"]],
};

/** The cache's file: the one given, else `swagpu/tuning.json` in the user's cache folder. */
export function locateCache(given: string | undefined, host: CacheHost = PROCESS_HOST): CachePlace {
  const path = given ?? userCachePath(host);
  if (path === undefined) {
    const names = (FOLDERS[host.os] ?? FOLDERS.other).map(([name]) => name);
    return {
      missing:
        `the cache folder is not known (--allow-env=${names.join()} lets it be found; --tuning-cache names a file)`,
    };
  }
  if (!host.may("read", path)) return { missing: `${path} may not be read (--allow-read lets it)` };
  return { path, writable: host.may("write", folderOf(path)) };
}

function userCachePath({ os, env }: CacheHost): string | undefined {
  for (const [name, rest] of FOLDERS[os] ?? FOLDERS.other) {
    const folder = env(name);
    // The XDG specification ignores relative paths.
    if (folder !== undefined && /^([/\\]|[A-Za-z]:)/.test(folder)) return `${folder}${rest}/swagpu/tuning.json`;
  }
}

function folderOf(path: string): string {
  const parts = path.split(/[/\\]/);
  return parts.length === 1 ? "." : path.slice(0, path.length - parts[parts.length - 1].length) || "/";
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
  await Deno.mkdir(folderOf(path), { recursive: true });
  using lock = await Deno.open(`${path}.lock`, { create: true, write: true });
  await lock.lock(true);
  const cache = change(await readCache(path, () => {}));
  await writeWhole(path, new TextEncoder().encode(formatTuningCache(cache)), true);
}
