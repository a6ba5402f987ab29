/**
 * The matrix products of a program: what a search can choose among.
 *
 * @module
 */

import type { Target } from "../ops/operation.ts";
import type { Product } from "../ops/product.ts";

/** A class of products, and how many a program holds. */
export interface ProductClass extends Product {
  readonly count: number;
}

/** The products that a lowering makes, each class once, those with the most arithmetic in all first. */
export function collectProducts(target: Target, lower: (target: Target) => unknown): ProductClass[] {
  const found = new Map<string, ProductClass>();
  const onProduct = (product: Product) => {
    const count = (found.get(product.shapeClass)?.count ?? 0) + 1;
    found.set(product.shapeClass, { ...product, count });
  };
  lower({ ...target, onProduct });
  return [...found.values()].sort((a, b) => b.count * b.flops - a.count * a.flops);
}

/**
 * A short hash of what all variants launch, the default first: kernel texts and what is compiled into them. What was
 * found of other launches, or against another default, says nothing of these.
 */
export async function kernelHash({ variants }: Product): Promise<string> {
  const launches = variants.map(({ name, lower }) => [
    name,
    lower().map(({ source, constants, groups }) => [source, Object.entries(constants), groups]),
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(launches)));
  return Array.from(new Uint8Array(digest, 0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
