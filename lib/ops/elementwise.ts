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

/** Neighbouring items that neighbouring invocations take at once: 128 bytes of vectors, a cache line of GPUs. */
export const RUN = 8;

/** Folds a count of workgroups into two dimensions. */
export function foldGroups(count: number): [number, number, number] {
  return [Math.min(count, GRID_X), Math.ceil(count / GRID_X), 1];
}

/** Widest vector (4 or 1) that divides every one of the sizes. */
export function widthOf(...sizes: readonly number[]): 1 | 4 {
  return sizes.every((size) => size % 4 === 0) ? 4 : 1;
}

/** How the items of a loop kernel are dealt out; see `kernels/elementwise.wgsl`. */
export interface LoopShape {
  /** Number of items, each of `width` scalars. */
  readonly count: number;
  readonly width?: 1 | 4;
  /** Items per invocation; 16, or 1 where an item is itself a loop. */
  readonly items?: number;
  /** Distance between the items of an invocation; {@linkcode RUN}. */
  readonly run?: number;
}

/** Constants and launch shape of a loop kernel. */
export interface LoopLaunch extends Pick<Dispatch, "constants" | "groups"> {
  /** Workgroups that `groups` folds. */
  readonly blocks: number;
}

/** Deals the items of a loop kernel out to workgroups of 64. */
export function shapeLoop({ count, width = 1, items = 16, run = RUN }: LoopShape): LoopLaunch {
  const blocks = Math.ceil(Math.ceil(count / (run * items)) * run / 64);
  return { constants: { COUNT: count, W: width, ITEMS: items, RUN: run, GRID_X }, blocks, groups: foldGroups(blocks) };
}

/** What a loop kernel needs beside its own constants. */
export interface LoopOptions extends LoopShape {
  readonly label: string;
  readonly source: string;
  readonly constants?: Constants;
  readonly floats?: Constants;
  readonly bindings: readonly Tensor[];
}

/** The launch of a loop kernel over `count` items. */
export function loop(options: LoopOptions): Dispatch {
  const { constants, groups } = shapeLoop(options);
  return {
    label: options.label,
    source: prelude + options.source,
    constants: { ...constants, ...options.constants },
    floats: options.floats,
    bindings: options.bindings,
    groups,
  };
}
