/**
 * The cache of decoded images that a command's flags ask for.
 *
 * @module
 */

import type { SharedPixelCache } from "../../lib/data/pixel_cache.ts";
import { type CacheHost, type CacheName, locateCache } from "../cli/cache_place.ts";
import { PixelFolder, type PixelFolderSettings } from "./folder.ts";
import { PixelLedger } from "./ledger.ts";

/** Values of the flags. */
export interface PixelCacheFlags {
  readonly cacheDir?: string;
  /** GiB; 0 for no cache. */
  readonly cacheSize: number;
}

const IMAGES: CacheName = { name: "images", flag: "--cache-dir names a folder", writes: (path) => path };
const WORKER = new URL("./worker.ts", import.meta.url);
/** The process began then, or not much later. */
const BEGAN = Date.now();

/**
 * The cache, or none where its place is not known or may not be read. A cache that is larger than it may be is made
 * smaller at once.
 */
export function sharedPixelCache(
  { cacheDir, cacheSize }: PixelCacheFlags,
  host?: CacheHost,
): SharedPixelCache | undefined {
  const place = locateCache(cacheDir || undefined, IMAGES, host);
  if (cacheSize === 0 || "missing" in place) return undefined;
  const limit = Math.floor(cacheSize * 2 ** 30);
  const settings: PixelFolderSettings = { path: place.path, limit, writable: place.writable, since: BEGAN };
  if (place.writable) new PixelLedger(settings).trim();
  return { settings, open: () => new PixelFolder(settings), worker: WORKER };
}
