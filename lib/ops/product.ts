/**
 * Matrix products that can be computed in several ways, and the choice among them.
 *
 * @module
 */

import type { Moments } from "./moments.ts";
import type { Dispatch, Target, Tensor } from "./operation.ts";

/** One way to compute a matrix product. All ways of a product give the same numbers up to rounding. */
export interface Variant {
  /** Stands for it in a tuning table; unique within the product. */
  readonly name: string;
  /** Blocks of the output's rows of which it can leave moments; absent: of none. */
  readonly blocks?: number;
  /**
   * Its launches; scratch tensors that they share among themselves are new with each call.
   *
   * @param moments where to leave the moments of {@linkcode Variant.blocks} blocks
   */
  lower(moments?: Moments): Dispatch[];
}

/** A matrix product within an operation. */
export interface Product {
  /** What its time depends on: part, sizes, schedule and subgroups. Products of one class have the same variants. */
  readonly shapeClass: string;
  /** Additions and multiplications. */
  readonly flops: number;
  /** Tensors that are read. */
  readonly operands: readonly Tensor[];
  /** The tensor that is written, or added to. */
  readonly output: Tensor;
  /** The default first: what its shape suggests. */
  readonly variants: readonly Variant[];
}

/** The way in which a product is computed: the one that the target's tuning names, else the first. */
export function variantOf({ tuning }: Target, { shapeClass, variants }: Product): Variant {
  return variants.find(({ name }) => name === tuning?.[shapeClass]) ?? variants[0];
}

/**
 * Launches of a product, in the way that the target's tuning names. One of them counts the arithmetic of direct sums: the
 * one that its variant lets count, or the first.
 *
 * @param moments where to leave the output's moments
 */
export function lowerProduct(target: Target, product: Product, moments?: Moments): Dispatch[] {
  target.onProduct?.(product);
  const { flops } = product;
  const launches = variantOf(target, product).lower(moments);
  const counting = Math.max(0, launches.findIndex((dispatch) => dispatch.flops !== undefined));
  return launches.map((dispatch, i) => ({ ...dispatch, again: true, flops: i === counting ? flops : undefined }));
}

/** Variants without those whose name came before. */
export function distinct(variants: readonly Variant[]): Variant[] {
  return variants.filter(({ name }, i) => variants.findIndex((other) => other.name === name) === i);
}
