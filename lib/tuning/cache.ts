/**
 * What earlier searches found, as the text of a JSON file: by adapter, then by shape class.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { AdapterDescription } from "../gpu/device.ts";
import type { TuningTable } from "../gpu/tuning_table.ts";
import { kernelHash, type ProductClass } from "./products.ts";

/** What was found of one product. */
export interface TuningCacheEntry {
  /** {@linkcode kernelHash} of the product then. */
  readonly kernels: string;
  /** Name of the variant to use. */
  readonly variant: string;
}

/** By adapter, as {@linkcode adapterKey} spells it, then by shape class. */
export type TuningCache = Readonly<Record<string, Readonly<Record<string, TuningCacheEntry>>>>;

const FORMAT = "swagpu tuning cache", VERSION = 1;

/**
 * What the times on an adapter depend on. WebGPU does not state the driver's version, but some descriptions do.
 *
 * @param software what else compiles the kernels, as `deno 2.9.6`
 */
export function adapterKey(
  { vendor, architecture, device, description }: AdapterDescription,
  software: string,
): string {
  return [vendor, architecture, device, description, software].join(" | ");
}

/** The text of a cache. */
export function formatTuningCache(adapters: TuningCache): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, adapters }, null, 1) + "\n";
}

/**
 * The cache of a text.
 *
 * @throws FormatError where the text is no cache, or one of another version
 */
export function parseTuningCache(text: string): TuningCache {
  const isRecord = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new FormatError("Cannot read a tuning cache: the text is no JSON");
  }
  if (!isRecord(found) || found.format !== FORMAT || found.version !== VERSION || !isRecord(found.adapters)) {
    throw new FormatError(`Cannot read a tuning cache: format "${FORMAT}" of version ${VERSION} is required`);
  }
  const isEntry = (value: unknown) =>
    isRecord(value) && typeof value.kernels === "string" && typeof value.variant === "string";
  for (const entries of Object.values(found.adapters)) {
    if (isRecord(entries) && Object.values(entries).every(isEntry)) continue;
    throw new FormatError("Cannot read a tuning cache: an entry has no kernels or no variant");
  }
  return found.adapters as TuningCache;
}

/** What a cache knows of products, where their kernels are still the same and the variant still exists. */
export async function knownVariants(
  cache: TuningCache,
  adapter: string,
  products: readonly ProductClass[],
): Promise<TuningTable> {
  const table: Record<string, string> = {};
  for (const product of products) {
    const entry = cache[adapter]?.[product.shapeClass];
    if (entry === undefined || !product.variants.some(({ name }) => name === entry.variant)) continue;
    if (entry.kernels === await kernelHash(product)) table[product.shapeClass] = entry.variant;
  }
  return table;
}

/** The entries of those of the products that a table names. */
export async function entriesOf(
  table: TuningTable,
  products: readonly ProductClass[],
): Promise<Record<string, TuningCacheEntry>> {
  const entries: Record<string, TuningCacheEntry> = {};
  for (const product of products) {
    const variant = table[product.shapeClass];
    if (variant !== undefined) entries[product.shapeClass] = { kernels: await kernelHash(product), variant };
  }
  return entries;
}

/** A cache with more entries of one adapter; those of the same class are replaced. */
export function withEntries(
  cache: TuningCache,
  adapter: string,
  entries: Readonly<Record<string, TuningCacheEntry>>,
): TuningCache {
  return { ...cache, [adapter]: { ...cache[adapter], ...entries } };
}
