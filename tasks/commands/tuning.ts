/**
 * Tuning in a command: what the cache knows, what is searched, what is said of it.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import type { TuningTable } from "../../lib/gpu/tuning_table.ts";
import { classifierProducts } from "../../lib/inference/autotune.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { autotune, defaultSeconds } from "../../lib/tuning/autotune.ts";
import { adapterKey, entriesOf, knownVariants, withEntries } from "../../lib/tuning/cache.ts";
import type { ProductClass } from "../../lib/tuning/products.ts";
import type { CachePlace } from "../cli/cache_place.ts";
import type { TUNING_FLAGS } from "../cli/flag_groups.ts";
import type { FlagValues } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { locateTuningCache, readCache, updateCache } from "../cli/tuning_cache.ts";

/** Values of the tuning flags. */
export type TuningFlags = Omit<FlagValues<typeof TUNING_FLAGS>, "operands">;

/** Whether matrix products are tuned on a device: on GPUs unless refused, on CPUs if asked for. */
export function isTuned(gpu: Gpu, { autotune, tuningCache }: Pick<TuningFlags, "autotune" | "tuningCache">): boolean {
  return autotune ?? (tuningCache !== undefined || !gpu.adapter.isCpu);
}

/** The adapter's key in the cache. */
export function cacheKey(gpu: Gpu): string {
  return adapterKey(gpu.adapter, `deno ${Deno.version.deno}`);
}

/**
 * Lets the device use the fastest kernels known for a classifier's training step; searches those that are not known
 * where the result can be kept, or `--autotune` was given.
 *
 * @param searching false: take what is known, search nothing
 */
export async function tune(
  gpu: Gpu,
  flags: TuningFlags,
  classifier: ClassifierConfig,
  batchSize: number,
  io: Io,
  searching = true,
): Promise<void> {
  if (!isTuned(gpu, flags)) return;
  const place = locateTuningCache(flags.tuningCache);
  const products = classifierProducts(gpu, classifier, batchSize).filter(({ variants }) => variants.length > 1);
  const cache = "path" in place ? await readCache(place.path, io.note) : {};
  const known = await knownVariants(cache, cacheKey(gpu), products);
  gpu.tuning = known;
  if (!searching || products.every(({ shapeClass }) => Object.hasOwn(known, shapeClass))) return;
  const kept = "path" in place && place.writable;
  if (!kept && flags.autotune !== true) {
    io.note(`matrix products are not tuned: ${whyNotKept(place)}; --autotune tunes them for this run`);
    return;
  }
  await searchUnknown(gpu, flags, products, known, io);
  if (kept) await keep(gpu, place.path, products, io);
  else io.note(`what was tuned is not kept: ${whyNotKept(place)}`);
}

function whyNotKept(place: CachePlace): string {
  return "missing" in place ? place.missing : `${place.path} may not be written (--allow-write lets it)`;
}

async function searchUnknown(
  gpu: Gpu,
  flags: TuningFlags,
  products: readonly ProductClass[],
  known: TuningTable,
  io: Io,
): Promise<void> {
  const seconds = flags.tuningSeconds ?? defaultSeconds(gpu);
  const unknown = products.length - Object.keys(known).length;
  io.note(`tuning ${unknown} matrix products, for ${seconds} s at most`);
  const { rows, left, seconds: spent } = await autotune(gpu, products, { known, seconds });
  const faster = rows.filter(({ usual, chosen }) => usual !== chosen).length;
  const rest = left === 0 ? "" : `; ${left} were not reached and keep the default`;
  io.note(`tuned ${rows.length} in ${spent.toFixed(1)} s: ${faster} are faster in another way than the default${rest}`);
}

/** Keeps what the device uses; a cache that cannot be written does not end a run. */
async function keep(gpu: Gpu, path: string, products: readonly ProductClass[], io: Io): Promise<void> {
  const entries = await entriesOf(gpu.tuning, products);
  try {
    await updateCache(path, (cache) => withEntries(cache, cacheKey(gpu), entries));
  } catch (error) {
    io.note(`what was tuned is not kept: ${(error as Error).message}`);
  }
}

/** Tuning on a device, for `doctor`. */
export interface TuningState {
  /** Whether training commands tune here unless told otherwise. */
  readonly on: boolean;
  /** The cache's file; null where there is none. */
  readonly cache: string | null;
  /** Products of this adapter in the cache. */
  readonly products: number;
  /** All of it in words. */
  readonly text: string;
}

/** What tuning would do on this device. */
export async function tuningState(gpu: Gpu, tuningCache: string | undefined, io: Io): Promise<TuningState> {
  const place = locateTuningCache(tuningCache);
  const on = isTuned(gpu, { autotune: undefined, tuningCache });
  const cache = "path" in place ? await readCache(place.path, io.note) : {};
  const products = Object.keys(cache[cacheKey(gpu)] ?? {}).length;
  const state = on ? "on" : "off on CPUs, where the defaults were measured; --autotune turns it on";
  const where = "path" in place
    ? `${products} matrix products of this adapter known in ${place.path}`
    : `no cache: ${place.missing}`;
  return { on, cache: "path" in place ? place.path : null, products, text: `${state}; ${where}` };
}
