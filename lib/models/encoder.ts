/**
 * A backbone without a classifier: features of images.
 *
 * @module
 */

import { UsageError } from "../errors.ts";
import { Graph } from "../graph/graph.ts";
import type { Parameter, ParameterLayout, Tensor } from "../ops/operation.ts";
import { type ClassifierConfig, encoderConfig } from "./classifier.ts";
import { GraphLayers } from "./layers.ts";
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

/**
 * Appends a classifier's backbone to a graph.
 *
 * @param input [N, H, W, 3], normalised
 * @returns features [N, F]
 * @throws UsageError where the network is an imported one
 */
export function encoder(graph: Graph, config: ClassifierConfig, input: Tensor): Tensor {
  if (config.network !== undefined) {
    throw new UsageError(
      `Cannot take features of ${config.encoder}: it is an imported network, and a ResNet by its name is required`,
    );
  }
  return residualFeatures(new GraphLayers(graph), encoderConfig(config.encoder, config.smallStem), input);
}
