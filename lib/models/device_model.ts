/**
 * A classifier's weights on the device, shared by every program that trains or evaluates it.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Graph } from "../graph/graph.ts";
import type { ModelVectors } from "../graph/program.ts";
import { FlatVector, layoutVector, type VectorLayout } from "../graph/vector.ts";
import type { Parameter } from "../ops/operation.ts";
import { buildClassifier, type ClassifierConfig } from "./classifier.ts";
import type { Initial } from "./initial.ts";
import { initialOf } from "./network.ts";
import type { Weights } from "./weights.ts";

export type { ModelVectors } from "../graph/program.ts";
export type { FlatVector, Segment, VectorEntry, VectorLayout } from "../graph/vector.ts";
export type { Parameter, ParameterLayout, Role, Tensor } from "../ops/operation.ts";

/** Layouts of a classifier's flat vectors. */
export interface ModelLayouts {
  /** Weights of the network below the head: [P]. */
  readonly backbone: VectorLayout;
  /** Weights and bias of the final linear layer. */
  readonly head: VectorLayout;
  /** Running statistics. */
  readonly state: VectorLayout;
  /** All parameters and running statistics in the order of PyTorch's state dict. */
  readonly parameters: readonly Parameter[];
  /** From what fresh tensors are drawn, by name, where the architecture states it. */
  readonly initial: ReadonlyMap<string, Initial>;
}

/** Lays a classifier's vectors out; allocates nothing. */
export function layoutModel(config: ClassifierConfig, maxBindingBytes = 2 ** 27): ModelLayouts {
  return layoutGraph(buildClassifier(config, 1).graph, maxBindingBytes, initialOf(config));
}

/** Lays the vectors of any graph out; allocates nothing. */
export function layoutGraph(
  graph: Graph,
  maxBindingBytes = 2 ** 27,
  initial: ModelLayouts["initial"] = new Map(),
): ModelLayouts {
  const layout = (vector: Parameter["vector"]) => layoutVector(vector, graph.parametersOf(vector), maxBindingBytes);
  const { parameters } = graph;
  return { backbone: layout("backbone"), head: layout("head"), state: layout("state"), parameters, initial };
}

/** Weights and running statistics on the device. */
export class DeviceModel {
  /** Where the vectors lie; outlives the model. */
  readonly gpu: Gpu;
  /** Architecture, classes and image size. */
  readonly config: ClassifierConfig;
  /** Where each tensor lies, cut to the device's binding limit. */
  readonly layouts: ModelLayouts;
  /** Weights and running statistics; kernels bind these. */
  readonly vectors: ModelVectors;

  /** Zero weights. `layouts` are those of another graph over the same backbone, where it has more than a classifier. */
  constructor(gpu: Gpu, config: ClassifierConfig, layouts: ModelLayouts = layoutModel(config, gpu.maxBindingBytes)) {
    this.gpu = gpu;
    this.config = config;
    this.layouts = layouts;
    const vector = (name: keyof ModelVectors) => new FlatVector(gpu, "weights", this.layouts[name]);
    this.vectors = { backbone: vector("backbone"), head: vector("head"), state: vector("state") };
  }

  /** Writes all weights and statistics. */
  write(weights: Weights): void {
    this.vectors.backbone.write(weights.backbone);
    this.vectors.head.write(weights.head);
    this.vectors.state.write(weights.state);
  }

  /** Reads all weights and statistics. Waits for the device. */
  async read(): Promise<Weights> {
    const { backbone, head, state } = this.vectors;
    return { backbone: await backbone.read(), head: await head.read(), state: await state.read() };
  }

  /** Frees the device memory. */
  destroy(): void {
    Object.values(this.vectors).forEach((vector: FlatVector) => vector.destroy());
  }
}
