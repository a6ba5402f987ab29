/**
 * Layers above a backbone, with the names that `torch.nn.Sequential` gives them.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { batchNorm } from "../../ops/batch_norm.ts";
import { applyLinear } from "../../graph/linear.ts";
import { type Tensor, view } from "../../ops/operation.ts";
import { relu } from "../../ops/relu.ts";
import { scaleGradient } from "../../ops/scale_gradient.ts";
import { unary } from "../../ops/unary.ts";
import { Algebra } from "./algebra.ts";
import type { ObjectiveContext } from "./objective.ts";

/** What layers need of where they are built. */
type LayerContext = Pick<ObjectiveContext, "graph" | "constant">;

/** What a layer does: Linear, then in this order what is asked for. */
export interface Layer {
  /** Outputs. */
  readonly width: number;
  /** Default true. */
  readonly bias?: boolean;
  /** BatchNorm1d, or one without weight and bias. */
  readonly norm?: boolean | "plain";
  readonly activation?: "relu" | "gelu";
}

/** A parameter of the layers above the backbone. */
function parameter(graph: Graph, name: string, layout: "vector" | "linear", shape: readonly number[]): Tensor {
  return graph.parameter("head", name, layout, shape);
}

/** BatchNorm1d of [N, 1, 1, C]. */
function norm1d({ graph, constant }: LayerContext, name: string, input: Tensor, plain: boolean): Tensor {
  const shape = input.shape.slice(-1);
  const statistic = (key: string) => graph.parameter("state", `${name}.${key}`, "vector", shape);
  const scale = (key: string, value: number) =>
    plain
      ? constant(`${name}.${key}`, shape, new Float32Array(shape[0]).fill(value))
      : parameter(graph, `${name}.${key}`, "vector", shape);
  const tensors = {
    weight: scale("weight", 1),
    bias: scale("bias", 0),
    runningMean: statistic("running_mean"),
    runningVariance: statistic("running_var"),
  };
  return graph.apply(batchNorm(name, input, tensors));
}

/**
 * Linear layers, each with what follows it.
 *
 * @param input [N, C]
 * @returns [N, width of the last layer]
 */
export function mlp(context: LayerContext, name: string, input: Tensor, layers: readonly Layer[]): Tensor {
  const { graph } = context;
  // As images of one pixel, so that normalisation and rectifier can be joined.
  let x = view(input, [input.shape[0], 1, 1, input.shape[1]]), index = 0;
  const next = () => `${name}.${index++}`;
  for (const { width, bias = true, norm = false, activation } of layers) {
    const layer = next();
    const weight = parameter(graph, `${layer}.weight`, "linear", [width, x.shape[3]]);
    const shift = bias ? parameter(graph, `${layer}.bias`, "vector", [width]) : undefined;
    x = applyLinear((operation) => graph.apply(operation), layer, x, weight, shift);
    if (norm) x = norm1d(context, next(), x, norm === "plain");
    if (activation === "relu") x = graph.apply(relu(next(), x));
    if (activation === "gelu") x = graph.apply(unary(next(), x, { kind: "gelu" }));
  }
  return view(x, [x.shape[0], x.shape[3]]);
}

/** Prototypes of unit length: rows of a [count, C] weight. */
export function prototypes(graph: Graph, name: string, count: number, width: number): Tensor {
  return new Algebra(graph).normalise(
    `${name} of unit length`,
    parameter(graph, `${name}.weight`, "vector", [count, width]),
  );
}

/** The same prototypes, which do not move in the first `epochs` epochs. */
export function frozenFirst(
  { graph, scalar, stepsPerEpoch }: Pick<ObjectiveContext, "graph" | "scalar" | "stepsPerEpoch">,
  moving: Tensor,
  epochs: number,
): Tensor {
  const moves = scalar("whether prototypes move", (step) => step < epochs * stepsPerEpoch ? 0 : 1);
  return graph.apply(scaleGradient("prototypes frozen at first", moving, moves));
}
