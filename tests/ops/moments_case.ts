/**
 * A convolution with the normalisation behind it, which takes the moments that it leaves, and the same of the f64 twins.
 *
 * @module
 */

import { Graph } from "../../lib/graph/graph.ts";
import { packActivations } from "../../lib/graph/precision.ts";
import { batchNorm } from "../../lib/ops/batch_norm.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { TILES } from "../../lib/ops/gemm_tile.ts";
import { type Dispatch, type Operation, scratch, type Target } from "../../lib/ops/operation.ts";
import type { OperationCase } from "../gpu/harness.ts";
import { batchNormTrain, type BatchNormTraining } from "../reference/batch_norm.ts";
import { conv2d as convTwin, type Conv2dOptions } from "../reference/conv2d.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { normal } from "./helpers.ts";

/** Input [N, H, W, CIN], COUT, kernel, and options. */
export type Shape = readonly [number, number, number, number, number, number, Partial<Conv2dOptions>?];

export interface Operands {
  readonly input: Tensor;
  readonly kernel: Tensor;
  readonly offset?: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** Operands drawn by seed; with a bias of the convolution where `biased`. */
export function operandsOf([n, h, w, cin, cout, kernel, options]: Shape, biased: boolean): Operands {
  return {
    input: normal([n, h, w, cin], 1),
    kernel: normal([cout, cin / (options?.groups ?? 1), kernel, kernel], 2),
    offset: biased ? normal([cout], 3) : undefined,
    weight: normal([cout], 4),
    bias: normal([cout], 5),
  };
}

/** The class of shapes of the convolution, and the names of the ways to compute it. */
export function waysOf(
  { input, kernel }: Operands,
  options: Partial<Conv2dOptions>,
  target: Partial<Target>,
): { shapeClass: string; names: string[] } {
  const [cout, cin, kh, kw] = kernel.shape;
  const ways: { shapeClass: string; names: string[] }[] = [];
  conv2d("conv", scratch("input", input.shape), scratch("kernel", [kh, kw, cin, cout]), options).forward({
    schedule: "cpu",
    subgroupSize: 8,
    tiles: TILES,
    training: true,
    ...target,
    onProduct: ({ shapeClass, variants }) => ways.push({ shapeClass, names: variants.map(({ name }) => name) }),
  });
  return ways[0];
}

/** A convolution and the normalisation behind it as one operation, and what was launched for it. */
export interface Pair extends OperationCase {
  /** Labels of the launches. */
  readonly launched: readonly string[];
}

/**
 * The two, lowered for a target as fuse() joins them.
 *
 * @param mixed the convolution's output is stored as f16
 */
export function pairOf(
  { input, kernel, offset, weight, bias }: Operands,
  options: Partial<Conv2dOptions>,
  target: Partial<Target>,
  mixed = false,
): Pair {
  const zero = tensor(weight.shape), launched: string[] = [];
  const record = (operations: readonly Operation[], target: Target): readonly Dispatch[] => {
    const launches = operations.flatMap((operation) => operation.forward(target));
    launched.push(...launches.map(({ label }) => label));
    return mixed ? packActivations(new Graph(operations), launches, [operations[1].output]) : launches;
  };
  return {
    launched,
    target,
    operands: {
      input: { value: input },
      kernel: { value: kernel, layout: "convolution" },
      ...(offset && { offset: { value: offset } }),
      weight: { value: weight },
      bias: { value: bias },
      runningMean: { value: zero },
      runningVariance: { value: zero },
    },
    build({ input, kernel, offset, ...tensors }) {
      const source = conv2d("conv", input, kernel, { ...options, bias: offset }).leaveMoments!();
      const { weight, bias, runningMean, runningVariance } = tensors;
      const norm = batchNorm("norm", source.output, { weight, bias, runningMean, runningVariance })
        .takeMoments!(source)!;
      return { ...norm, forward: (target) => record([source, norm], target), backward: () => [] };
    },
  };
}

/** The twins' output, and the running statistics after a batch. */
export function expectedOf(
  { input, kernel, offset, weight, bias }: Operands,
  options: Partial<Conv2dOptions>,
): BatchNormTraining {
  const whole = { stride: 1, padding: 0, dilation: 1, groups: 1, ...options };
  const zero = tensor(weight.shape);
  return batchNormTrain(convTwin(input, kernel, offset ?? null, whole), { weight, bias }, {
    mean: zero,
    variance: zero,
  });
}
