/**
 * What a residual network is built of, and its layers as operations of a graph.
 *
 * @module
 */

import type { Graph } from "../graph/graph.ts";
import type { Window } from "../onnx/export/operators.ts";
import { add } from "../ops/add.ts";
import { batchNorm, type BatchNormOptions } from "../ops/batch_norm.ts";
import { padChannels, type PadChannelsOptions } from "../ops/channels.ts";
import { conv2d } from "../ops/conv2d.ts";
import { applyLinear } from "../graph/linear.ts";
import type { Tensor } from "../ops/operation.ts";
import { globalAveragePool, maxPool } from "../ops/pool.ts";
import { relu } from "../ops/relu.ts";

/** A convolution without bias, padded by half of its kernel. */
export interface ConvolutionLayer {
  /** Channels of the output. */
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  readonly groups: number;
}

/**
 * Layers under the names of a checkpoint. `T` is a value between them: a tensor of a graph, or a name in an ONNX file.
 * Layers with weights are built in the order in which PyTorch registers them.
 */
export interface Layers<T> {
  /** Channels of a value. */
  channelsOf(value: T): number;
  conv(name: string, input: T, layer: ConvolutionLayer): T;
  batchNorm(name: string, input: T): T;
  relu(name: string, input: T): T;
  add(name: string, a: T, b: T): T;
  maxPool(name: string, input: T, options: Window): T;
  padChannels(name: string, input: T, options: Required<PadChannelsOptions>): T;
  /** Images to features. */
  globalAveragePool(name: string, input: T): T;
  /** The head, of `out` outputs. */
  linear(name: string, input: T, out: number): T;
}

/** Layers as operations of a graph. */
export class GraphLayers implements Layers<Tensor> {
  readonly #graph: Graph;
  readonly #norm: BatchNormOptions;

  constructor(graph: Graph, norm: BatchNormOptions = {}) {
    this.#graph = graph;
    this.#norm = norm;
  }

  channelsOf({ shape }: Tensor): number {
    return shape[shape.length - 1];
  }

  conv(name: string, input: Tensor, { out, kernel, stride, groups }: ConvolutionLayer): Tensor {
    const shape = [out, input.shape[3] / groups, kernel, kernel];
    const weight = this.#graph.parameter("backbone", `${name}.weight`, "convolution", shape);
    return this.#graph.apply(conv2d(name, input, weight, { stride, padding: (kernel - 1) / 2, groups }));
  }

  batchNorm(name: string, input: Tensor): Tensor {
    const shape = [input.shape[3]];
    const vector = (kind: "backbone" | "state", key: string) =>
      this.#graph.parameter(kind, `${name}.${key}`, "vector", shape);
    const tensors = {
      weight: vector("backbone", "weight"),
      bias: vector("backbone", "bias"),
      runningMean: vector("state", "running_mean"),
      runningVariance: vector("state", "running_var"),
    };
    return this.#graph.apply(batchNorm(name, input, tensors, this.#norm));
  }

  relu(name: string, input: Tensor): Tensor {
    return this.#graph.apply(relu(name, input));
  }

  add(name: string, a: Tensor, b: Tensor): Tensor {
    return this.#graph.apply(add(name, a, b));
  }

  maxPool(name: string, input: Tensor, options: Window): Tensor {
    return this.#graph.apply(maxPool(name, input, options));
  }

  padChannels(name: string, input: Tensor, options: Required<PadChannelsOptions>): Tensor {
    return this.#graph.apply(padChannels(name, input, options));
  }

  globalAveragePool(name: string, input: Tensor): Tensor {
    return this.#graph.apply(globalAveragePool(name, input));
  }

  linear(name: string, input: Tensor, out: number): Tensor {
    const weight = this.#graph.parameter("head", `${name}.weight`, "linear", [out, input.shape[1]]);
    const bias = this.#graph.parameter("head", `${name}.bias`, "vector", [out]);
    return applyLinear((operation) => this.#graph.apply(operation), name, input, weight, bias);
  }
}
