/**
 * The search for the fastest variant of each product, within a budget; it knows no device.
 *
 * @module
 */

import type { TuningTable } from "../gpu/tuning_table.ts";
import type { Variant } from "../ops/product.ts";
import type { ProductClass } from "./products.ts";

/** One product, ready to be computed. */
export interface ProductBench {
  /**
   * Milliseconds of one run of a variant.
   *
   * @throws RejectedVariant where it cannot run, or its numbers are not the default's
   */
  time(variant: Variant): Promise<number>;
  /** Frees what the product needed. */
  destroy(): void;
}

/** A variant that must not be used, and why. */
export class RejectedVariant extends Error {
  /** Name of the class, as a printed error begins. */
  override readonly name = "RejectedVariant";
}

/** How long to search, and when to prefer another variant. */
export interface SearchOptions {
  /** Seconds after which no further product is begun; one that was begun is finished. */
  readonly seconds: number;
  /** Share of the default's time that another variant must save; default {@linkcode MARGIN}. */
  readonly margin?: number;
  /** Milliseconds of a clock; default `performance.now`. */
  readonly now?: () => number;
  /** Is told of each product that was searched, and how many are done. */
  readonly onProduct?: (row: SearchRow, done: number, total: number) => void;
}

/** What was found of one product. */
export interface SearchRow {
  /** The product. */
  readonly shapeClass: string;
  /** How often the program computes it. */
  readonly count: number;
  /** The default variant. */
  readonly usual: string;
  /** The variant to use. */
  readonly chosen: string;
  /** Milliseconds of the default. */
  readonly usualTime: number;
  /** Milliseconds of the chosen one. */
  readonly chosenTime: number;
  /** Variants that ran and gave the default's numbers, the default among them. */
  readonly tried: number;
  /** Variants that did not, as `name: reason`. */
  readonly rejected: readonly string[];
}

/** What a search found. */
export interface SearchResult {
  /** Variants of the products that were reached, the default where nothing is faster by the margin. */
  readonly table: TuningTable;
  /** The products that were reached, in the order of the search. */
  readonly rows: readonly SearchRow[];
  /** Products that were not reached: they keep the default, and a later search goes on with them. */
  readonly left: number;
  /** How long it took. */
  readonly seconds: number;
}

/** What another variant must save before it is preferred: more than times of one kernel differ between runs. */
export const MARGIN = 0.05;

/** Searches products in order. One whose default cannot run is passed over: the program will say why. */
export async function search(
  products: readonly ProductClass[],
  open: (product: ProductClass) => Promise<ProductBench>,
  options: SearchOptions,
): Promise<SearchResult> {
  const { seconds, margin = MARGIN, now = () => performance.now(), onProduct } = options;
  const start = now();
  const spent = () => (now() - start) / 1000;
  const rows: SearchRow[] = [];
  let reached = 0;
  for (const product of products) {
    if (product.variants.length > 1) {
      if (spent() >= seconds) break;
      const row = await searchProduct(product, open, margin);
      if (row !== undefined) {
        rows.push(row);
        onProduct?.(row, reached + 1, products.length);
      }
    }
    reached++;
  }
  const table = Object.fromEntries(rows.map(({ shapeClass, chosen }) => [shapeClass, chosen]));
  const left = products.slice(reached).filter(({ variants }) => variants.length > 1).length;
  return { table, rows, left, seconds: spent() };
}

async function searchProduct(
  product: ProductClass,
  open: (product: ProductClass) => Promise<ProductBench>,
  margin: number,
): Promise<SearchRow | undefined> {
  const { shapeClass, count, variants: [usual, ...others] } = product;
  const rejected: string[] = [];
  const bench = await unlessRejected(() => open(product));
  if (bench instanceof RejectedVariant) return undefined;
  try {
    let usualTime = await unlessRejected(() => bench.time(usual));
    if (typeof usualTime !== "number") return undefined;
    let fastest = { variant: usual, time: usualTime };
    for (const variant of others) {
      const time = await unlessRejected(() => bench.time(variant));
      if (typeof time !== "number") rejected.push(`${variant.name}: ${time.message}`);
      else if (time < fastest.time) fastest = { variant, time };
    }
    // Other work may have slowed either down, and the default ran first, perhaps on a device that still slept.
    if (fastest.variant !== usual) {
      const usualAgain = await unlessRejected(() => bench.time(usual));
      const fastestAgain = await unlessRejected(() => bench.time(fastest.variant));
      if (typeof usualAgain !== "number") return undefined;
      usualTime = Math.min(usualTime, usualAgain);
      if (typeof fastestAgain === "number") fastest = { ...fastest, time: Math.min(fastest.time, fastestAgain) };
      else {
        rejected.push(`${fastest.variant.name}: ${fastestAgain.message}`);
        fastest = { variant: usual, time: usualTime };
      }
    }
    const chosen = fastest.time < (1 - margin) * usualTime ? fastest : { variant: usual, time: usualTime };
    return {
      shapeClass,
      count,
      usual: usual.name,
      chosen: chosen.variant.name,
      usualTime,
      chosenTime: chosen.time,
      tried: 1 + others.length - rejected.length,
      rejected,
    };
  } finally {
    bench.destroy();
  }
}

/** What `run` yields, or why the variant must not be used; other errors are errors. */
async function unlessRejected<T>(run: () => Promise<T>): Promise<T | RejectedVariant> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof RejectedVariant) return error;
    throw error;
  }
}
