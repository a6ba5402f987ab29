/**
 * Where this program keeps what it would otherwise work out again. Nothing here asks for a permission: where one is
 * missing there is no cache.
 *
 * @module
 */

/** Where a cache is, or why there is none. */
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

/** A cache of this program: what it is called in the user's cache folder, and how a command names another place. */
export interface CacheName {
  /** File or folder below `swagpu` in the user's cache folder. */
  readonly name: string;
  /** What lets a user name another, as "--cache-dir names a folder". */
  readonly flag: string;
  /** Folder that must be writable where the cache is at a path. */
  readonly writes: (path: string) => string;
}

/** The place that is given, else that in the user's cache folder. */
export function locateCache(
  given: string | undefined,
  { name, flag, writes }: CacheName,
  host: CacheHost = PROCESS_HOST,
): CachePlace {
  const path = given ?? userCachePath(name, host);
  if (path === undefined) {
    const names = (FOLDERS[host.os] ?? FOLDERS.other).map(([name]) => name);
    return { missing: `the cache folder is not known (--allow-env=${names.join()} lets it be found; ${flag})` };
  }
  if (!host.may("read", path)) return { missing: `${path} may not be read (--allow-read lets it)` };
  return { path, writable: host.may("write", writes(path)) };
}

function userCachePath(name: string, { os, env }: CacheHost): string | undefined {
  for (const [variable, rest] of FOLDERS[os] ?? FOLDERS.other) {
    const folder = env(variable);
    // The XDG specification ignores relative paths.
    if (folder !== undefined && /^([/\\]|[A-Za-z]:)/.test(folder)) return `${folder}${rest}/swagpu/${name}`;
  }
}
