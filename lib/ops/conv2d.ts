/**
 * 2-D convolution (cross-correlation), as `torch.nn.functional.conv2d`.
 *
 * @module
 */

import transposeSource from "../../kernels/transpose_weight.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { columnSum } from "./column_sum.ts";
import {
  type Conv2dOptions,
  flopsOf,
  type GatherOperands,
  type Geometry,
  geometryOf,
  type GradientOperands,
  shapeClassOf,
} from "./conv2d_geometry.ts";
import { groupedGather, groupedWeightGradient, isFinelyGrouped } from "./conv2d_grouped.ts";
import { laneGather, laneWeightGradient } from "./conv2d_lanes.ts";
import { sharesInputs, stripGather, stripWeightGradient } from "./conv2d_strip.ts";
import { tiledGather, tiledWeightGradient } from "./conv2d_tile.ts";
import {
  outputsGain,
  suitsWinograd,
  weightGradientsGain,
  winogradGather,
  winogradWeightGradient,
} from "./conv2d_winograd.ts";
import { loop, widthOf } from "./elementwise.ts";
import { leavingMoments } from "./moments.ts";
import {
  type Dispatch,
  type GradientOf,
  type GradientSlot,
  type Operation,
  scratch,
  type Target,
  type Tensor,
} from "./operation.ts";
import { lowerProduct, type Product, type Variant } from "./product.ts";

export type { Conv2dOptions } from "./conv2d_geometry.ts";

/** Convolves input [N, H, W, CIN] with weight [KH, KW, CIN / groups, COUT] to [N, OH, OW, COUT]. */
export function conv2d(name: string, input: Tensor, weight: Tensor, options: Conv2dOptions = {}): Operation {
  const geometry = geometryOf(input, weight, options);
  const { n, oh, ow, cout } = geometry;
  const output = scratch(name, [n, oh, ow, cout]);
  const { bias } = options;
  const operands = { input, weight, output, bias, inputGradient: false, accumulate: false };
  const product = (target: Target) => gatherProduct(`${name} forward`, geometry, target, operands);
  const operation: Operation = {
    kind: "conv2d",
    inputs: bias ? [input, weight, bias] : [input, weight],
    output,
    forward: (target) => lowerProduct(target, product(target)),
    backward(target, dOutput, gradientOf) {
      return [
        ...inputGradient(name, geometry, target, dOutput, weight, gradientOf(input)),
        ...weightGradient(name, geometry, target, input, dOutput, gradientOf(weight)),
        ...biasGradient(name, dOutput, bias, gradientOf),
      ];
    },
    leaveMoments: () => leavingMoments(operation, product),
  };
  return operation;
}

/** The launches that compute an output, or an input gradient from the output's. */
export function gather(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Dispatch[] {
  return lowerProduct(target, gatherProduct(label, geometry, target, operands));
}

/** The ways to compute them. */
function gatherProduct(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Product {
  const { input, weight, output, bias, inputGradient } = operands;
  return {
    shapeClass: shapeClassOf(target, inputGradient ? "input gradient" : "output", geometry),
    flops: flopsOf(geometry),
    operands: bias ? [input, weight, bias] : [input, weight],
    output,
    variants: gatherVariants(label, geometry, target, operands),
  };
}

/** The kernels that suit the target and the shape, the usual one first. */
function gatherVariants(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Variant[] {
  if (target.schedule === "gpu") {
    if (!isFinelyGrouped(geometry)) return tiledGather(label, geometry, target, operands);
    return [{ name: "grouped", lower: () => [groupedGather(label, geometry, operands)] }];
  }
  const winograd = suitsWinograd(geometry, target) ? winogradGather(label, geometry, target, operands) : [];
  const direct = [
    ...sharesInputs(geometry) ? stripGather(label, geometry, target, operands) : [],
    ...laneGather(label, geometry, target, operands),
  ];
  return outputsGain(geometry) ? [...winograd, ...direct] : [...direct, ...winograd];
}

function inputGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  dOutput: Tensor,
  weight: Tensor,
  slot: GradientSlot | undefined,
): Dispatch[] {
  if (slot === undefined) return [];
  const { cin, cout, kh, kw, groups } = geometry;
  const transposed = scratch(`${name} weight transposed`, [kh, kw, cout / groups, cin]);
  const operands = {
    input: dOutput,
    weight: transposed,
    output: slot.tensor,
    inputGradient: true,
    accumulate: slot.accumulate,
  };
  return [
    transposeWeight(`${name} weight transpose`, geometry, weight, transposed),
    ...gather(`${name} input gradient`, geometry, target, operands),
  ];
}

/** The launch that exchanges the channels of a weight within each group: what an input gradient reads. */
export function transposeWeight(
  label: string,
  { cin, cout, groups }: Geometry,
  weight: Tensor,
  transposed: Tensor,
): Dispatch {
  const ci = cin / groups, co = cout / groups, width = widthOf(ci, co);
  const side = width === 1 ? 1 : [4, 2, 1].find((squares) => co / width % squares === 0)!;
  return loop({
    label,
    source: transposeSource,
    count: sizeOf(transposed.shape) / width ** 2,
    width,
    items: 16 / width ** 2,
    constants: { CI: ci, CO: co, G: groups, SIDE: side },
    bindings: [weight, transposed],
  });
}

/** The launches that compute a weight gradient, where one is wanted. */
export function weightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  input: Tensor,
  dOutput: Tensor,
  slot: GradientSlot | undefined,
): Dispatch[] {
  if (slot === undefined) return [];
  return lowerProduct(target, {
    shapeClass: shapeClassOf(target, "weight gradient", geometry),
    flops: flopsOf(geometry),
    operands: [input, dOutput],
    output: slot.tensor,
    variants: weightGradientVariants(name, geometry, target, { input, dOutput, slot }),
  });
}

/** The kernels that suit the target and the shape, the usual one first. */
function weightGradientVariants(
  name: string,
  geometry: Geometry,
  target: Target,
  operands: GradientOperands,
): Variant[] {
  if (target.schedule === "gpu") {
    if (!isFinelyGrouped(geometry)) return tiledWeightGradient(name, geometry, target, operands);
    return [{ name: "grouped", lower: () => groupedWeightGradient(name, geometry, operands) }];
  }
  const winograd = suitsWinograd(geometry, target) ? winogradWeightGradient(name, geometry, target, operands) : [];
  const direct = [
    ...sharesInputs(geometry) ? stripWeightGradient(name, geometry, target, operands) : [],
    ...laneWeightGradient(name, geometry, target, operands),
  ];
  return weightGradientsGain(geometry) ? [...winograd, ...direct] : [...direct, ...winograd];
}

/** The launches that compute a bias gradient, where one is wanted. */
export function biasGradient(
  name: string,
  dOutput: Tensor,
  bias: Tensor | undefined,
  gradientOf: GradientOf,
): readonly Dispatch[] {
  const slot = bias && gradientOf(bias);
  return slot ? columnSum(`${name} bias gradient`, dOutput, slot) : [];
}
