/**
 * A linear classifier of features: its gradient on the device, and what it gets right.
 *
 * @module
 */

import { computeMetrics } from "../evaluation/metrics.ts";
import type { LabelledFeatures } from "../evaluation/nearest_neighbours.ts";
import { softmax } from "../evaluation/softmax.ts";
import type { Gpu } from "../gpu/device.ts";
import { Graph, lowerBackward, lowerForward } from "../graph/graph.ts";
import { layoutVector, type VectorLayout } from "../graph/vector.ts";
import { GraphLayers } from "../models/layers.ts";
import { type Dispatch, targetOf, type Tensor } from "../ops/operation.ts";
import { softmaxCrossEntropy } from "../ops/softmax_cross_entropy.ts";
import { headLogits } from "./last_layer.ts";

/** A linear classifier. */
export interface LinearHead {
  /** [C * F + C]: weight, then bias. */
  readonly weights: Float32Array;
  /** C */
  readonly numClasses: number;
}

/** Share of the examples that a linear classifier gets right, 0 to 1. */
export function headAccuracy({ features, labels }: LabelledFeatures, { weights, numClasses }: LinearHead): number {
  return computeMetrics(softmax(headLogits(features, weights, numClasses), numClasses), labels).accuracy;
}

/** The launches of a step, up to the gradient of vector `head`, and what they are about. */
export interface LinearClassifier {
  readonly features: Tensor;
  /** uint32 [rows] */
  readonly labels: Tensor;
  readonly dispatches: readonly Dispatch[];
  readonly layout: VectorLayout;
}

/**
 * The gradient of the mean cross-entropy of all rows. Features are from outside, so that none flows into them.
 *
 * @param shape of the features, [rows, F]
 */
export function lowerLinearClassifier(gpu: Gpu, shape: readonly number[], numClasses: number): LinearClassifier {
  const graph = new Graph(), target = targetOf(gpu, { training: true });
  const features = graph.external("features", shape), labels = graph.external("labels", [shape[0]]);
  const logits = new GraphLayers(graph).linear("classifier", features, numClasses);
  graph.apply(softmaxCrossEntropy("classifier loss", logits, labels));
  return {
    features,
    labels,
    dispatches: [...lowerForward(graph, target), ...lowerBackward(graph, target)],
    layout: layoutVector("classifier", graph.parametersOf("head"), gpu.maxBindingBytes),
  };
}
