/**
 * Sums and means over any axes, and the ordered sums that gradients of broadcast operands need.
 *
 * @module
 */

import source from "../../kernels/reduce.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { chunksOf, reducePartials } from "./column_sum.ts";
import { loop } from "./elementwise.ts";
import { type Dispatch, type GradientSlot, type Operation, scratch, type Tensor } from "./operation.ts";
import { copy, repeated } from "./strided_copy.ts";
import {
  type Axis,
  axisOf,
  broadcastStrides,
  isSplat,
  mergeAxes,
  stridesOf,
  vectorWidth,
  walkConstants,
} from "./strides.ts";

/** What is summed: the first of the operands alone, times the second, by the second, or times second / third squared. */
export type Term = "x" | "xy" | "x/y" | "xy/zz";

const TERMS: readonly Term[] = ["x", "xy", "x/y", "xy/zz"];
const NAMES = ["X", "Y", "Z"];

/** A sum over those axes of `shape` along which the result has size 1. */
export interface ReductionOptions {
  readonly label: string;
  /** Shape of the loop; the operands are broadcast to it. */
  readonly shape: readonly number[];
  /** Shape of the result, aligned with the last axis of `shape`; sizes are those of `shape` or 1. */
  readonly result: readonly number[];
  readonly term: Term;
  readonly operands: readonly Tensor[];
  readonly scale?: number;
  readonly slot: GradientSlot;
}

/** Adds scale times the sum of the term to the slot. How it is split depends on the shapes alone. */
export function reduce(options: ReductionOptions): Dispatch[] {
  const { label, shape, result, operands, slot } = options;
  const strides = operands.map((operand) => broadcastStrides(operand.shape, shape));
  const place = [...Array(shape.length - result.length).fill(1), ...result];
  const axes = shape.map((size, axis): Axis & { kept: boolean } => ({
    size,
    strides: NAMES.map((_, k) => strides[k]?.[axis] ?? 0),
    kept: place[axis] === size,
  }));
  const kept = mergeAxes(axes.filter((axis) => axis.kept)), reduced = mergeAxes(axes.filter((axis) => !axis.kept));
  const width = vectorWidth(kept, reduced);
  const splats = NAMES.map((_, k) => isSplat(kept, k));
  const units = splats.map((splat) => splat ? 1 : width);
  const size = sizeOf(result), count = sizeOf(shape) / size;
  const { chunkRows, chunks } = chunksOf(count);
  const partial = chunks === 1 ? slot.tensor : scratch(`${label} partials`, [chunks, size]);
  const dispatch = loop({
    label,
    source,
    count: chunks * size / width,
    width,
    items: count === 1 ? 4 : 1,
    constants: {
      TERM: TERMS.indexOf(options.term),
      KEPT: size / width,
      REDUCED: count,
      CHUNK: chunkRows,
      ACCUMULATE: chunks === 1 && slot.accumulate ? 1 : 0,
      ...Object.fromEntries(NAMES.map((name, k) => [`${name}_SPLAT`, splats[k] ? 1 : 0])),
      ...walkConstants("KEPT_", kept, NAMES, units, width),
      ...walkConstants("REDUCED_", reduced, NAMES, units),
    },
    floats: { FACTOR: options.scale ?? 1 },
    bindings: [operands[0], partial, ...operands.slice(1)],
  });
  return chunks === 1 ? [dispatch] : [dispatch, reducePartials(`${label} partials`, partial, chunks, slot)];
}

/** How the output of a reduction is shaped. */
export interface ReduceOptions {
  /** Keep reduced axes with size 1; default true, as in ONNX. */
  readonly keepDims?: boolean;
}

function reduction(
  kind: string,
  name: string,
  input: Tensor,
  axes: readonly number[],
  { keepDims = true }: ReduceOptions,
  scaleOf: (count: number) => number,
): Operation {
  const gone = new Set(axes.map((axis) => axisOf(kind, axis, input.shape.length)));
  const result = input.shape.map((size, axis) => gone.has(axis) ? 1 : size);
  const output = scratch(name, keepDims ? result : input.shape.filter((_, axis) => !gone.has(axis)));
  const scale = scaleOf(sizeOf(input.shape) / sizeOf(result));
  return {
    kind,
    inputs: [input],
    output,
    forward: () =>
      reduce({
        label: `${name} forward`,
        shape: input.shape,
        result,
        term: "x",
        operands: [input],
        scale,
        slot: { tensor: output, accumulate: false },
      }),
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      const from = repeated(dOutput, result, input.shape);
      const to = { tensor: slot.tensor, strides: stridesOf(input.shape), offset: 0 };
      return [copy(`${name} gradient`, input.shape, from, to, { accumulate: slot.accumulate, scale })];
    },
  };
}

/** Sum over `axes`. */
export function reduceSum(
  name: string,
  input: Tensor,
  axes: readonly number[],
  options: ReduceOptions = {},
): Operation {
  return reduction("reduceSum", name, input, axes, options, () => 1);
}

/** Mean over `axes`. */
export function reduceMean(
  name: string,
  input: Tensor,
  axes: readonly number[],
  options: ReduceOptions = {},
): Operation {
  return reduction("reduceMean", name, input, axes, options, (count) => 1 / count);
}
