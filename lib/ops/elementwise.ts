/**
 * Launch shapes of kernels that are one loop over a tensor.
 *
 * @module
 */

import prelude from "../../kernels/elementwise.wgsl" with { type: "text" };
import type { Constants } from "../../kernels/template.ts";
import type { Dispatch, Tensor } from "./operation.ts";

/** Groups in the first dimension of a launch that needs two: below WebGPU's 65,535. */
export const GRID_X = 32768;

/** Folds a count of workgroups into two dimensions. */
export function foldGroups(count: number): [number, number, number] {
  return [Math.min(count, GRID_X), Math.ceil(count / GRID_X), 1];
}

/** Widest vector (4 or 1) that divides every one of the sizes. */
export function widthOf(...sizes: readonly number[]): 1 | 4 {
  return sizes.every((size) => size % 4 === 0) ? 4 : 1;
}

/** What a loop kernel needs beside its own constants. */
export interface LoopOptions {
  readonly label: string;
  readonly source: string;
  /** Number of items, each of `width` scalars. */
  readonly count: number;
  readonly width?: 1 | 4;
  /** Items per invocation; 1 where an item is itself a loop. */
  readonly items?: number;
  readonly constants?: Constants;
  readonly floats?: Constants;
  readonly bindings: readonly Tensor[];
}

/** The launch of a loop kernel over `count` items. */
export function loop(options: LoopOptions): Dispatch {
  const items = options.items ?? 4;
  return {
    label: options.label,
    source: prelude + options.source,
    constants: { COUNT: options.count, W: options.width ?? 1, ITEMS: items, GRID_X, ...options.constants },
    floats: options.floats,
    bindings: options.bindings,
    groups: foldGroups(Math.ceil(options.count / (64 * items))),
  };
}
