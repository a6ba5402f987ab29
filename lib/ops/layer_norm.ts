/**
 * Layer normalisation (arXiv 1607.06450), as `torch.nn.functional.layer_norm`.
 *
 * @module
 */

import source from "../../kernels/layer_norm.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/layer_norm_weight_gradient.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { chunksOf, columnSum, reducePartials } from "./column_sum.ts";
import { loop, widthOf } from "./elementwise.ts";
import {
  type Dispatch,
  type GradientSlot,
  type Operation,
  requireSize,
  scratch,
  shapeError,
  type Tensor,
  view,
} from "./operation.ts";
import { overRows } from "./rows.ts";

/** What is normalised, and what becomes of it. */
export interface LayerNormOptions {
  /** How many of the last axes make a row; default 1. */
  readonly axes?: number;
  /** Factor, of the shape of a row. */
  readonly weight?: Tensor;
  /** Summand, of the shape of a row. */
  readonly bias?: Tensor;
  /** Added to the variance; default 1e-5. */
  readonly epsilon?: number;
}

/** (input - mean) / sqrt(variance + epsilon) * weight + bias, with the mean and the biased variance of each row. */
export function layerNorm(name: string, input: Tensor, options: LayerNormOptions = {}): Operation {
  const { axes = 1, weight, bias, epsilon = 1e-5 } = options;
  requireSize("layerNorm", "axes", axes);
  const row = input.shape.slice(-axes);
  for (const affine of [weight, bias]) {
    if (axes > input.shape.length || (affine && affine.shape.join() !== row.join())) {
      const found = `${axes} axes of [${input.shape}] with ${
        affine ? `${affine.name} [${affine.shape}]` : "no weight"
      }`;
      throw shapeError("layerNorm", found, `weight and bias of the shape of a row, [${row}], are required`);
    }
  }
  const length = sizeOf(row), rows = sizeOf(input.shape) / length;
  const output = scratch(name, input.shape), statistics = scratch(`${name} statistics`, [rows, 2]);
  const has = (tensor?: Tensor) => tensor ? 1 : 0;
  const present = (...tensors: (Tensor | undefined)[]) => tensors.filter((tensor) => tensor !== undefined);
  return {
    kind: "layerNorm",
    inputs: present(input, weight, bias),
    output,
    forward: (target) => [overRows(target, {
      label: `${name} forward`,
      source,
      rows,
      length,
      constants: { BACKWARD: 0, WEIGHT: has(weight), BIAS: has(bias) },
      floats: { EPS: epsilon },
      bindings: present(input, statistics, output, weight, bias),
    })],
    backward(target, dOutput, gradientOf) {
      const slot = gradientOf(input), toWeight = weight && gradientOf(weight), toBias = bias && gradientOf(bias);
      const dispatches: Dispatch[] = [];
      if (slot) {
        dispatches.push(overRows(target, {
          label: `${name} input gradient`,
          source,
          rows,
          length,
          constants: { BACKWARD: 1, WEIGHT: has(weight), BIAS: 0, ACCUMULATE: slot.accumulate ? 1 : 0 },
          bindings: present(input, statistics, dOutput, slot.tensor, weight),
        }));
      }
      if (toWeight) dispatches.push(...weightGradient(name, rows, length, [input, statistics, dOutput], toWeight));
      if (toBias) dispatches.push(...columnSum(`${name} bias gradient`, view(dOutput, [rows, length]), toBias));
      return dispatches;
    },
  };
}

function weightGradient(
  name: string,
  rows: number,
  length: number,
  operands: readonly Tensor[],
  slot: GradientSlot,
): Dispatch[] {
  const { chunkRows, chunks } = chunksOf(rows);
  const width = widthOf(length);
  const partial = scratch(`${name} weight partials`, [chunks, length]);
  return [
    loop({
      label: `${name} weight gradient`,
      source: weightGradientSource,
      count: chunks * length / width,
      width,
      items: 1,
      constants: { ROWS: rows, COLUMNS: length, CHUNK_ROWS: chunkRows },
      bindings: [...operands, partial],
    }),
    reducePartials(`${name} weight reduction`, partial, chunks, slot),
  ];
}
