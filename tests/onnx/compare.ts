/**
 * Runs imported classifiers on float images: logits, loss and gradients.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { fuse } from "../../lib/graph/fuse.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { compile, type Program } from "../../lib/graph/program.ts";
import type { FlatVector } from "../../lib/graph/vector.ts";
import { buildOnnx, type OnnxNetwork } from "../../lib/onnx/network.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { type Dispatch, targetOf, type Tensor } from "../../lib/ops/operation.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmax_cross_entropy.ts";
import { vectorsOf } from "../gpu/harness.ts";

/** What a network is run on. */
export interface Batch {
  /** [N, H, W, 3] */
  readonly images: { readonly shape: readonly number[]; readonly data: ArrayLike<number> };
  readonly labels: Uint32Array;
}

/** What the device computed. */
export interface Computed {
  /** Evaluation mode, [N, classes]. */
  readonly evalLogits: Float32Array;
  /** Training mode. */
  readonly logits: Float32Array;
  /** Mean cross-entropy in training mode. */
  readonly loss: number;
  /** By parameter, in the file's layout. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** Running statistics after the pass in training mode. */
  readonly statistics: ReadonlyMap<string, Float32Array>;
  /** Of the tensors that `keepOf` named, what they held in training mode. */
  readonly kept: ReadonlyMap<Tensor, Float32Array>;
}

/** The graph over float images, with a loss, joined as a classifier's is. */
function graphOf(network: OnnxNetwork, { images, labels }: Batch, keepOf: (graph: Graph) => readonly Tensor[]) {
  const graph = new Graph();
  const input = graph.external("images", images.shape);
  const target = graph.external("labels", [labels.length]);
  const { logits, constants } = buildOnnx(graph, network, input, { numClasses: network.head.numClasses });
  const totals = graph.apply(softmaxCrossEntropy("loss", logits, target));
  const contents = new Map<Tensor, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>([
    [input, Float32Array.from(images.data)],
    [target, Uint32Array.from(labels)],
    ...constants,
  ]);
  const kept = keepOf(graph);
  return { graph: fuse(graph, [logits, totals, ...kept]), logits, totals, contents, kept };
}

/** A network on the device: its graph, and what programs of it are compiled against. */
function placed(gpu: Gpu, network: OnnxNetwork, batch: Batch, keepOf: (graph: Graph) => readonly Tensor[]) {
  const { graph, logits, totals, contents, kept } = graphOf(network, batch, keepOf);
  const vectors = vectorsOf(gpu, "weights", (vector) => graph.parametersOf(vector));
  const gradients = vectorsOf(gpu, "gradients", (vector) => graph.parametersOf(vector));
  const stored = weightsOf(network.model, network.head);
  for (const vector of Object.values(vectors)) {
    const values = new Float32Array(vector.layout.count);
    for (const { name, torchOffset } of vector.layout.entries) {
      values.set(stored.get(name)!.data as Float32Array, torchOffset);
    }
    vector.write(values);
  }
  const externals = new Map<Tensor, GPUBuffer>();
  for (const [tensor, values] of contents) {
    const buffer = gpu.createBuffer(tensor.name, values.byteLength);
    gpu.device.queue.writeBuffer(buffer, 0, values);
    externals.set(tensor, buffer);
  }
  const free = () => {
    externals.forEach((buffer) => gpu.destroyBuffer(buffer));
    [...Object.values(vectors), ...Object.values(gradients)].forEach((vector) => vector.destroy());
  };
  return { graph, logits, totals, kept, gradients, vectors, externals, keep: [logits, totals, ...kept], free };
}

async function readTensor(gpu: Gpu, program: Program, tensor: Tensor): Promise<Float32Array> {
  const { buffer, offset, size } = program.rangeOf(tensor);
  return new Float32Array(await gpu.read(buffer, offset, size));
}

/** The tensors of flat vectors, in the file's layout. */
async function readVectors(vectors: readonly FlatVector[]): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const vector of vectors) {
    const values = await vector.read();
    for (const { name, torchOffset, size } of vector.layout.entries) {
      found.set(name, values.subarray(torchOffset, torchOffset + size));
    }
  }
  return found;
}

/** Runs launches once, and reads what they left. */
async function ran<T>(
  gpu: Gpu,
  network: ReturnType<typeof placed>,
  dispatches: readonly Dispatch[],
  read: (program: Program) => Promise<T>,
): Promise<T> {
  const program = await compile(gpu, dispatches, { label: "network", ...network });
  try {
    submitLaunches(gpu, "network", program.launches);
    return await read(program);
  } finally {
    program.destroy();
  }
}

async function evaluated(gpu: Gpu, network: ReturnType<typeof placed>): Promise<Float32Array> {
  const launches = lowerForward(network.graph, targetOf(gpu, { training: false }));
  return await ran(gpu, network, launches, (program) => readTensor(gpu, program, network.logits));
}

/** Logits in evaluation mode, [N, classes]. */
export async function evaluateNetwork(gpu: Gpu, network: OnnxNetwork, batch: Batch): Promise<Float32Array> {
  const onDevice = placed(gpu, network, batch, () => []);
  try {
    return await evaluated(gpu, onDevice);
  } finally {
    onDevice.free();
  }
}

/**
 * Runs the network forwards in both modes, and backwards.
 *
 * @param keepOf names tensors of the graph that are read as well
 */
export async function runNetwork(
  gpu: Gpu,
  network: OnnxNetwork,
  batch: Batch,
  keepOf: (graph: Graph) => readonly Tensor[] = () => [],
): Promise<Computed> {
  const onDevice = placed(gpu, network, batch, keepOf);
  const { graph, logits, totals, kept, gradients, vectors } = onDevice;
  try {
    const evalLogits = await evaluated(gpu, onDevice);
    const training = targetOf(gpu, { training: true });
    const launches = [...lowerForward(graph, training), ...lowerBackward(graph, training)];
    return await ran(gpu, onDevice, launches, async (program) => {
      const [sum, , count] = await readTensor(gpu, program, totals);
      const values = new Map<Tensor, Float32Array>();
      for (const tensor of kept) values.set(tensor, await readTensor(gpu, program, tensor));
      return {
        evalLogits,
        logits: await readTensor(gpu, program, logits),
        loss: sum / count,
        gradients: await readVectors([gradients.backbone, gradients.head]),
        statistics: await readVectors([vectors.state]),
        kept: values,
      };
    });
  } finally {
    onDevice.free();
  }
}

/** Norm of the difference over the norm of what is expected. */
export function distance(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0, norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}
