/**
 * A recorded network on the device, for comparisons with PyTorch.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { fuse } from "../../lib/graph/fuse.ts";
import { Graph } from "../../lib/graph/graph.ts";
import type { GradientVectors, ModelVectors } from "../../lib/graph/program.ts";
import { FlatVector, layoutVector } from "../../lib/graph/vector.ts";
import { residualConfig } from "../../lib/models/network.ts";
import { GraphLayers } from "../../lib/models/layers.ts";
import { residualFeatures } from "../../lib/models/resnet.ts";
import { linear } from "../../lib/ops/linear.ts";
import type { Tensor } from "../../lib/ops/operation.ts";
import { scaleGradient } from "../../lib/ops/scale_gradient.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmax_cross_entropy.ts";
import { sizeOf } from "../../lib/tensor.ts";
import type { NetworkFixture } from "../fixtures/network.ts";

/** How the network is built. */
export interface PreparedOptions {
  /** Join operations. */
  readonly fused: boolean;
  /** Multiply the loss's gradient by this. */
  readonly lossScale?: number;
}

/** Everything that a comparison needs, on the device. */
export interface PreparedNetwork extends ReturnType<typeof buildGraph> {
  readonly vectors: ModelVectors;
  readonly gradients: GradientVectors;
  readonly externals: ReadonlyMap<Tensor, GPUBuffer>;
}

/** The fixture's network as a graph over float images. */
function buildGraph({ name, batch, size, classes }: NetworkFixture, { fused, lossScale }: PreparedOptions) {
  const graph = new Graph();
  const config = residualConfig({ encoder: name });
  const images = graph.external("images", [batch, size, size, 3]);
  const labels = graph.external("labels", [batch]);
  const features = residualFeatures(new GraphLayers(graph), config, images);
  const weight = graph.parameter("head", `${config.headName}.weight`, "linear", [classes, features.shape[1]]);
  const bias = graph.parameter("head", `${config.headName}.bias`, "vector", [classes]);
  const logits = graph.apply(linear(config.headName, features, weight, bias));
  const scale = graph.external("loss scale", [1]);
  const scaled = lossScale === undefined ? logits : graph.apply(scaleGradient("scaled logits", logits, scale));
  const totals = graph.apply(softmaxCrossEntropy("loss", scaled, labels));
  return { graph: fused ? fuse(graph, [logits, totals]) : graph, images, labels, logits, totals, scale };
}

/** Builds the network and writes the fixture's weights and inputs. */
export function prepare(gpu: Gpu, fixture: NetworkFixture, options: PreparedOptions): PreparedNetwork {
  const model = buildGraph(fixture, options);
  const vector = (kind: "backbone" | "head" | "state", label: string) =>
    new FlatVector(gpu, label, layoutVector(kind, model.graph.parametersOf(kind), gpu.maxBindingBytes));
  const vectors = {
    backbone: vector("backbone", "weights"),
    head: vector("head", "weights"),
    state: vector("state", "weights"),
  };
  const gradients = { backbone: vector("backbone", "gradient"), head: vector("head", "gradient") };
  for (const target of [vectors.backbone, vectors.head]) {
    const values = new Float32Array(target.layout.count);
    for (const entry of target.layout.entries) {
      const parameter = fixture.parameters.get(entry.name);
      if (parameter === undefined) throw new RangeError(`the fixture has no ${entry.name}`);
      assertEquals(parameter.shape, [...entry.torchShape]);
      values.set(parameter.data, entry.torchOffset);
    }
    target.write(values);
  }
  const statistics = new Float32Array(vectors.state.layout.count);
  for (const { name, torchOffset, size } of vectors.state.layout.entries) {
    if (name.endsWith("running_var")) statistics.fill(1, torchOffset, torchOffset + size);
  }
  vectors.state.write(statistics);
  const externals = new Map<Tensor, GPUBuffer>([model.images, model.labels, model.scale].map((tensor) => [
    tensor,
    gpu.createBuffer(tensor.name, sizeOf(tensor.shape) * 4),
  ]));
  gpu.device.queue.writeBuffer(externals.get(model.images)!, 0, Float32Array.from(fixture.images.data));
  gpu.device.queue.writeBuffer(externals.get(model.labels)!, 0, Uint32Array.from(fixture.labels));
  gpu.device.queue.writeBuffer(externals.get(model.scale)!, 0, Float32Array.of(options.lossScale ?? 1));
  return { ...model, vectors, gradients, externals };
}

/** Norm of the difference over the norm of the recorded. */
export function distance(found: Float32Array, recorded: Float64Array): number {
  let difference = 0, norm = 0;
  recorded.forEach((value, i) => {
    difference += (found[i] - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}
