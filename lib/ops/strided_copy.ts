/**
 * Launches that move elements between tensors along strided axes.
 *
 * @module
 */

import copySource from "../../kernels/strided_copy.wgsl" with { type: "text" };
import fillSource from "../../kernels/fill.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import type { Dispatch, Tensor } from "./operation.ts";
import { axesOf, broadcastStrides, isSplat, mergeAxes, vectorWidth, walkConstants } from "./strides.ts";

/** The elements of a tensor that a copy visits: `offset + sum of coordinate * stride`. */
export interface Region {
  readonly tensor: Tensor;
  readonly strides: readonly number[];
  readonly offset: number;
}

/** How {@linkcode copy} writes. */
export interface CopyOptions {
  /** Add to what is there. */
  readonly accumulate?: boolean;
  /** Factor of every element. */
  readonly scale?: number;
}

/** A tensor, seen as `shape`, read as if it had the broadcast shape `to`. */
export function repeated(tensor: Tensor, shape: readonly number[], to: readonly number[]): Region {
  return { tensor, strides: broadcastStrides(shape, to), offset: 0 };
}

/** Copies a loop over `sizes` from one region to another, whose elements must be distinct. */
export function copy(
  label: string,
  sizes: readonly number[],
  from: Region,
  to: Region,
  { accumulate = false, scale = 1 }: CopyOptions = {},
): Dispatch {
  const axes = mergeAxes(axesOf(sizes, [from.strides, to.strides]));
  const width = vectorWidth(axes, [], [from.offset, to.offset]);
  const splat = isSplat(axes, 0);
  const units = [splat ? 1 : width, width];
  return loop({
    label,
    source: copySource,
    count: sizeOf(sizes) / width,
    width,
    constants: {
      ...walkConstants("", axes, ["INPUT", "OUTPUT"], units, width),
      INPUT_OFFSET: from.offset / units[0],
      OUTPUT_OFFSET: to.offset / units[1],
      INPUT_SPLAT: splat ? 1 : 0,
      ACCUMULATE: accumulate ? 1 : 0,
      SCALED: scale === 1 ? 0 : 1,
    },
    floats: { FACTOR: scale },
    bindings: [from.tensor, to.tensor],
  });
}

/** Sets every element of a tensor. */
export function fill(label: string, tensor: Tensor, value: number): Dispatch {
  const size = sizeOf(tensor.shape), width = widthOf(size);
  return loop({ label, source: fillSource, count: size / width, width, floats: { VALUE: value }, bindings: [tensor] });
}
