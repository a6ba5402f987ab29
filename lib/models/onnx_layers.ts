/**
 * Layers as nodes of an ONNX file.
 *
 * @module
 */

import type { NodeList } from "../onnx/export/nodes.ts";
import * as operators from "../onnx/export/operators.ts";
import type { ConvolutionLayer, Layers } from "./layers.ts";

/** A value of the file. */
export interface OnnxValue {
  readonly name: string;
  readonly channels: number;
}

/** Names of the values that a network ends in. */
export const FEATURES = "features", LOGITS = "output";

/** PyTorch's settings of BatchNorm. */
const NORM = { eps: 1e-5, momentum: 0.1 };

/** Layers as nodes that read their weights under the names of a checkpoint. */
export class OnnxLayers implements Layers<OnnxValue> {
  readonly #nodes: NodeList;

  constructor(nodes: NodeList) {
    this.#nodes = nodes;
  }

  channelsOf({ channels }: OnnxValue): number {
    return channels;
  }

  conv(name: string, input: OnnxValue, { out, kernel, stride, groups }: ConvolutionLayer): OnnxValue {
    const options = { kernel, stride, groups, padding: (kernel - 1) / 2 };
    return { name: operators.conv(this.#nodes, name, input.name, options), channels: out };
  }

  batchNorm(name: string, input: OnnxValue): OnnxValue {
    return { ...input, name: operators.batchNormalisation(this.#nodes, name, input.name, NORM) };
  }

  relu(name: string, input: OnnxValue): OnnxValue {
    return { ...input, name: operators.relu(this.#nodes, name, input.name) };
  }

  add(name: string, a: OnnxValue, b: OnnxValue): OnnxValue {
    return { ...a, name: operators.add(this.#nodes, name, a.name, b.name) };
  }

  maxPool(name: string, input: OnnxValue, options: operators.Window): OnnxValue {
    return { ...input, name: operators.maxPool(this.#nodes, name, input.name, options) };
  }

  padChannels(
    name: string,
    input: OnnxValue,
    options: { readonly before: number; readonly after: number; readonly stride: number },
  ): OnnxValue {
    const { before, after } = options;
    return {
      name: operators.padChannels(this.#nodes, name, input.name, options),
      channels: before + input.channels + after,
    };
  }

  globalAveragePool(name: string, input: OnnxValue): OnnxValue {
    return { ...input, name: operators.globalAveragePool(this.#nodes, name, input.name, FEATURES) };
  }

  linear(name: string, input: OnnxValue, out: number): OnnxValue {
    return { name: operators.gemm(this.#nodes, name, input.name, LOGITS), channels: out };
  }
}
