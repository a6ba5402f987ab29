/**
 * A backbone without a classifier: features of images.
 *
 * @module
 */

import { Graph } from "../graph/graph.ts";
import type { Parameter, ParameterLayout, Tensor } from "../ops/operation.ts";
import { buildOnnxFeatures } from "../onnx/network.ts";
import { GraphLayers } from "./layers.ts";
import { type ClassifierConfig, onnxNetworkOf, residualConfig } from "./network.ts";
import { residualFeatures } from "./resnet.ts";

/** A graph in which a network may appear several times: a parameter declared again is the same. */
export class SharedGraph extends Graph {
  override parameter(
    vector: Parameter["vector"],
    name: string,
    layout: ParameterLayout,
    torchShape: readonly number[],
  ): Parameter {
    const known = this.parameters.find((other) => other.name === name && other.vector === vector);
    return known ?? super.parameter(vector, name, layout, torchShape);
  }
}

/** Features, and tables that the host writes once. */
export interface Encoded {
  /** [N, F] */
  readonly features: Tensor;
  readonly constants: ReadonlyMap<Tensor, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>;
}

/**
 * Appends a classifier's backbone to a graph.
 *
 * @param input [N, H, W, 3], normalised
 * @throws FormatError where the network's head does not read features, or what is before it cannot be built
 */
export function encoder(graph: Graph, config: ClassifierConfig, input: Tensor): Encoded {
  const [, height, width] = input.shape;
  // Views may be of another size than the images.
  const network = onnxNetworkOf({ ...config, height, width });
  if (network !== undefined) return buildOnnxFeatures(graph, network, input);
  return { features: residualFeatures(new GraphLayers(graph), residualConfig(config), input), constants: new Map() };
}
