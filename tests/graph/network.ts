/**
 * A small residual network, twice: as a graph for the device, and composed of the f64 twins.
 *
 * conv 3x3 - norm - relu = h; conv 3x3 stride 2 (h) - norm, plus the padded shortcut of h, relu = sum; conv 1x1 on the
 * sum, plus the sum itself; global average - linear - loss. So h, and the sum, have two consumers.
 *
 * @module
 */

import { Graph } from "../../lib/graph/graph.ts";
import { add } from "../../lib/ops/add.ts";
import { batchNorm } from "../../lib/ops/batch_norm.ts";
import { padChannels } from "../../lib/ops/channels.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { linear } from "../../lib/ops/linear.ts";
import type { Tensor as DeviceTensor } from "../../lib/ops/operation.ts";
import { globalAveragePool } from "../../lib/ops/pool.ts";
import { relu } from "../../lib/ops/relu.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmax_cross_entropy.ts";
import { mapped, normal } from "../ops/helpers.ts";
import { add as addTwin } from "../reference/add.ts";
import { globalAveragePool as averageTwin } from "../reference/average_pool.ts";
import { batchNormTrain } from "../reference/batch_norm.ts";
import { conv2d as convTwin } from "../reference/conv2d.ts";
import { linear as linearTwin } from "../reference/linear.ts";
import { padChannels as padTwin } from "../reference/pad_channels.ts";
import { relu as reluTwin } from "../reference/relu.ts";
import { softmaxCrossEntropy as lossTwin } from "../reference/softmax_cross_entropy.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";

/** Parameters by name, in the order of declaration and in PyTorch's layout. */
export type Parameters = Record<string, Tensor>;

const SHAPES: Record<string, number[]> = {
  "conv1.weight": [4, 3, 3, 3],
  "norm1.weight": [4],
  "norm1.bias": [4],
  "conv2.weight": [8, 4, 3, 3],
  "norm2.weight": [8],
  "norm2.bias": [8],
  "conv3.weight": [8, 8, 1, 1],
  "conv3.bias": [8],
  "fc.weight": [3, 8],
  "fc.bias": [3],
};
const SMOOTHING = 0.1;
const PAD = { before: 2, after: 2, stride: 2 };

/** `[3, 7, 6, 3]`. */
export const INPUT: Tensor = normal([3, 7, 6, 3], 100);
/** The second row does not count. */
export const LABELS: readonly number[] = [2, 0xffffffff, 0];

/** The same weights each time. */
export function drawParameters(): Parameters {
  return Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape], i) => [name, mapped(normal(shape, i), (x) => x / 2 + 0.1)]),
  );
}

/** The network on the device. */
export function buildNetwork(): { graph: Graph; input: DeviceTensor; labels: DeviceTensor; totals: DeviceTensor } {
  const graph = new Graph();
  const input = graph.external("input", INPUT.shape), labels = graph.external("labels", [LABELS.length]);
  const parameter = (name: string, layout: "vector" | "convolution" | "linear" = "vector") =>
    graph.parameter(name.startsWith("fc") ? "head" : "backbone", name, layout, SHAPES[name]);
  const norm = (name: string, x: DeviceTensor) =>
    graph.apply(batchNorm(name, x, {
      weight: parameter(`${name}.weight`),
      bias: parameter(`${name}.bias`),
      runningMean: graph.parameter("state", `${name}.running_mean`, "vector", [x.shape[3]]),
      runningVariance: graph.parameter("state", `${name}.running_var`, "vector", [x.shape[3]]),
    }));
  const conv1 = graph.apply(conv2d("conv1", input, parameter("conv1.weight", "convolution"), { padding: 1 }));
  const h = graph.apply(relu("relu1", norm("norm1", conv1)));
  const kernel2 = parameter("conv2.weight", "convolution");
  const conv2 = graph.apply(conv2d("conv2", h, kernel2, { padding: 1, stride: 2 }));
  const branch = norm("norm2", conv2);
  const block = graph.apply(add("block", branch, graph.apply(padChannels("shortcut", h, PAD))));
  const sum = graph.apply(relu("relu2", block));
  const kernel3 = parameter("conv3.weight", "convolution");
  const conv3 = graph.apply(conv2d("conv3", sum, kernel3, { bias: parameter("conv3.bias") }));
  const features = graph.apply(globalAveragePool("pool", graph.apply(add("output", conv3, sum))));
  const logits = graph.apply(linear("fc", features, parameter("fc.weight", "linear"), parameter("fc.bias")));
  const totals = graph.apply(softmaxCrossEntropy("loss", logits, labels, { labelSmoothing: SMOOTHING }));
  return { graph, input, labels, totals };
}

/** The network's mean loss, in float64. */
export function twinLoss(parameters: Parameters): number {
  const conv = (x: Tensor, name: string, stride: number, padding: number, bias: Tensor | null = null) =>
    convTwin(x, parameters[`${name}.weight`], bias, { stride, padding, dilation: 1, groups: 1 });
  const norm = (x: Tensor, name: string) => {
    const channels = [x.shape[3]], running = { mean: tensor(channels), variance: tensor(channels) };
    const weight = parameters[`${name}.weight`], bias = parameters[`${name}.bias`];
    return batchNormTrain(x, { weight, bias }, running).output;
  };
  const h = reluTwin(norm(conv(INPUT, "conv1", 1, 1), "norm1"));
  const sum = reluTwin(addTwin(norm(conv(h, "conv2", 2, 1), "norm2"), padTwin(h, PAD)));
  const features = averageTwin(addTwin(conv(sum, "conv3", 1, 0, parameters["conv3.bias"]), sum));
  const logits = linearTwin(features, parameters["fc.weight"], parameters["fc.bias"]);
  return lossTwin(logits, LABELS, SMOOTHING).loss;
}
