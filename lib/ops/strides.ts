/**
 * Shapes of any rank as loops: broadcasting, strides, and the axes that remain when neighbours are merged.
 *
 * @module
 */

import type { Constants } from "../../kernels/template.ts";
import { shapeError } from "./operation.ts";

/** One axis of a loop over tensors: its size, and how many elements each operand moves along it. */
export interface Axis {
  readonly size: number;
  /** One per operand; 0 where the operand is repeated along the axis. */
  readonly strides: readonly number[];
}

/** Elements between neighbours along each axis of a row-major tensor. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const size of shape.toReversed()) {
    strides.unshift(stride);
    stride *= size;
  }
  return strides;
}

/** An axis counted from the start; negative ones count from the end. */
export function axisOf(operation: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new RangeError(`Cannot build ${operation}: axis is ${axis}, but one of ${rank} axes is required`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** The shape that holds all of `shapes`, as numpy broadcasts: aligned at the last axis, 1 repeats. */
export function broadcastShapes(operation: string, ...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const aligned = shapes.map((shape) => [...Array(rank - shape.length).fill(1), ...shape]);
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = new Set(aligned.map((shape) => shape[axis]));
    if (sizes.size > 1) sizes.delete(1);
    if (sizes.size > 1) {
      throw shapeError(
        operation,
        shapes.map((shape) => `[${shape}]`).join(" and "),
        "sizes that are equal or 1 are required, counted from the last axis",
      );
    }
    return [...sizes][0];
  });
}

/** Strides with which a tensor of `shape` is read as if it had the broadcast shape `to`. */
export function broadcastStrides(shape: readonly number[], to: readonly number[]): number[] {
  const strides = stridesOf(shape).map((stride, axis) => shape[axis] === 1 ? 0 : stride);
  return [...Array(to.length - shape.length).fill(0), ...strides];
}

/** The axes of a loop over `sizes` in which operand k has the strides `strides[k]`. */
export function axesOf(sizes: readonly number[], strides: readonly (readonly number[])[]): Axis[] {
  return sizes.map((size, axis) => ({ size, strides: strides.map((operand) => operand[axis]) }));
}

/** The same loop without axes of size 1 and with neighbours made one where every operand runs on from row to row. */
export function mergeAxes(axes: readonly Axis[]): Axis[] {
  const merged: Axis[] = [];
  for (const axis of axes) {
    if (axis.size === 1) continue;
    const outer = merged.at(-1);
    if (outer !== undefined && outer.strides.every((stride, k) => stride === axis.strides[k] * axis.size)) {
      merged[merged.length - 1] = { size: outer.size * axis.size, strides: axis.strides };
    } else merged.push(axis);
  }
  return merged;
}

/** Whether an operand stays at one element along the last axis; it then goes to all places of a vector. */
export function isSplat(axes: readonly Axis[], operand: number): boolean {
  return axes.length > 0 && axes[axes.length - 1].strides[operand] === 0;
}

/**
 * Width (4 or 1) of the vectors that the last of `axes` can be walked in: every operand must be contiguous along it and
 * start on a multiple of four everywhere else, or stay where it is.
 *
 * @param others axes of the same operands that are walked besides
 * @param offsets first element of each operand
 */
export function vectorWidth(
  axes: readonly Axis[],
  others: readonly Axis[] = [],
  offsets: readonly number[] = [],
): 1 | 4 {
  const last = axes.at(-1);
  if (last === undefined || last.size % 4 !== 0) return 1;
  const rest = [...axes.slice(0, -1), ...others];
  const fits = last.strides.every((stride, k) =>
    stride === 0 ||
    (stride === 1 && [offsets[k] ?? 0, ...rest.map(({ strides }) => strides[k])].every((n) => n % 4 === 0))
  );
  return fits ? 4 : 1;
}

/** The constants of a kernel's walk, in units of vectors: `RANK`, and `SIZE0`, `INNER0`, `<operand>_STRIDE0`, ... */
export function walkConstants(
  prefix: string,
  axes: readonly Axis[],
  operands: readonly string[],
  units: readonly number[],
  width = 1,
): Constants {
  const constants: Record<string, number> = { [`${prefix}RANK`]: axes.length };
  let inner = 1;
  for (let d = axes.length - 1; d >= 0; d--) {
    const isVector = width > 1 && d === axes.length - 1;
    const size = isVector ? axes[d].size / width : axes[d].size;
    constants[`${prefix}SIZE${d}`] = size;
    constants[`${prefix}INNER${d}`] = inner;
    operands.forEach((operand, k) => {
      const stride = isVector ? axes[d].strides[k] : axes[d].strides[k] / units[k];
      // Modulo 2^32, as the kernel computes: a negative step is a large positive one.
      constants[`${operand}_${prefix}STRIDE${d}`] = stride >>> 0;
    });
    inner *= size;
  }
  return constants;
}
