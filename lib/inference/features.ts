/**
 * Features of a backbone for whole sets, and how well classes can be read off them.
 *
 * @module
 */

import { evaluationBatches } from "../data/evaluation_batches.ts";
import { DEFAULT_MEMORY_LIMIT, type ImageSource } from "../data/dataset.ts";
import type { Gpu } from "../gpu/device.ts";
import { submitLaunches } from "../gpu/launch.ts";
import { fuse } from "../graph/fuse.ts";
import { Graph, lowerForward } from "../graph/graph.ts";
import { compile, planProgram, type Program } from "../graph/program.ts";
import { type ClassifierConfig, colourTable } from "../models/classifier.ts";
import type { DeviceModel } from "../models/device_model.ts";
import { encoder } from "../models/encoder.ts";
import { normaliseImages } from "../ops/images.ts";
import { targetOf, type Tensor } from "../ops/operation.ts";
import { sizeOf } from "../tensor.ts";
import { headAccuracy, type LinearHead } from "./linear_classifier.ts";
import { probeAccuracy } from "./linear_probe.ts";
import { neighbourAccuracy } from "./nearest_neighbours.ts";
import type { PredictionOptions } from "./prediction.ts";
import { requireBatchSize, requireSize } from "./requirements.ts";

/** The forward pass of a backbone. */
function buildFeatures(config: ClassifierConfig, batchSize: number) {
  const graph = new Graph();
  const images = graph.external("images", [batchSize, config.height, config.width, 3]);
  const colours = graph.external("colours", [6]);
  const { features, constants } = encoder(graph, config, graph.apply(normaliseImages("input", images, colours)));
  return { graph: fuse(graph, [features]), images, colours, features, constants };
}

/** Bytes that a {@linkcode FeatureSession} would allocate, and how many features an image gets; allocates nothing. */
export function estimateFeatures(
  gpu: Gpu,
  config: ClassifierConfig,
  batchSize: number,
): { readonly bytes: number; readonly width: number } {
  const { graph, images, colours, features, constants } = buildFeatures(config, batchSize);
  const plan = planProgram(gpu, lowerForward(graph, targetOf(gpu, { training: false })), [features]);
  const tables = [colours, ...constants.keys()].reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  return { bytes: plan.bytes + sizeOf(images.shape) + tables, width: features.shape[1] };
}

/** A backbone in evaluation mode, over the weights of a model that may be in training. */
export class FeatureSession {
  readonly #model: DeviceModel;
  readonly #program: Program;
  readonly #images: GPUBuffer;
  /** The images' and those of tables. */
  readonly #externals: readonly GPUBuffer[];
  readonly #features: Tensor;

  private constructor(
    model: DeviceModel,
    program: Program,
    parts: { images: GPUBuffer; externals: readonly GPUBuffer[]; features: Tensor },
  ) {
    this.#model = model;
    this.#program = program;
    this.#images = parts.images;
    this.#externals = parts.externals;
    this.#features = parts.features;
  }

  /** Compiles the forward pass of the backbone. */
  static async create(
    model: DeviceModel,
    { batchSize, normalisation }: PredictionOptions,
  ): Promise<FeatureSession> {
    const { gpu, config } = model;
    requireBatchSize(batchSize);
    const { graph, images, colours, features, constants } = buildFeatures(config, batchSize);
    const imageBuffer = gpu.createBuffer("feature images", sizeOf(images.shape));
    const externals = new Map([[images, imageBuffer]]);
    for (const [tensor, values] of [[colours, colourTable(normalisation)] as const, ...constants]) {
      const buffer = gpu.createBuffer(`feature ${tensor.name}`, values.byteLength);
      gpu.device.queue.writeBuffer(buffer, 0, values);
      externals.set(tensor, buffer);
    }
    const program = await compile(gpu, lowerForward(graph, targetOf(gpu, { training: false })), {
      label: "features",
      vectors: model.vectors,
      externals,
      keep: [features],
    });
    return new FeatureSession(model, program, { images: imageBuffer, externals: [...externals.values()], features });
  }

  /** Where the features are computed. */
  get gpu(): Gpu {
    return this.#model.gpu;
  }

  /**
   * Features of every example, [n, F], in the set's order. Waits for the device.
   *
   * @throws RangeError where they would take more memory than a set may
   */
  async features(set: ImageSource): Promise<Float32Array> {
    const { gpu, config } = this.#model;
    requireSize(set, config);
    const [batchSize, width] = this.#features.shape, bytes = set.labels.length * width * 4;
    if (bytes > DEFAULT_MEMORY_LIMIT) {
      throw new RangeError(
        `Cannot hold features of ${set.name}: ${set.labels.length} of ${width} numbers take ${bytes} bytes, but at most ` +
          `${DEFAULT_MEMORY_LIMIT} are allowed; use fewer images`,
      );
    }
    const { buffer, offset } = this.#program.rangeOf(this.#features);
    const found = new Float32Array(set.labels.length * width);
    for await (const { images, start, valid } of evaluationBatches(set, batchSize)) {
      gpu.writeBytes(this.#images, images);
      submitLaunches(gpu, "features", this.#program.launches);
      found.set(new Float32Array(await gpu.read(buffer, offset, valid * width * 4)), start * width);
    }
    return found;
  }

  /** Frees all that the session made; the model stays. */
  destroy(): void {
    this.#program.destroy();
    this.#externals.forEach((buffer) => this.#model.gpu.destroyBuffer(buffer));
  }
}

/** How well classes can be read off a backbone's features. */
export interface FeatureEvaluation {
  /** Accuracy of 20 nearest neighbours, 0 to 1. */
  readonly knn: number;
  /** Accuracy of a linear classifier that was fitted to the features as they are, 0 to 1. */
  readonly linear: number;
  /** Accuracy of a linear classifier that was trained along with the backbone, 0 to 1; absent where there is none. */
  readonly online?: number;
  /** Accuracy of the momentum network with a linear classifier that was trained along, 0 to 1; absent where none is. */
  readonly momentum?: number;
}

/**
 * Measures a backbone: labels of `train` are known, those of `val` are asked for.
 *
 * @param trained classifiers that were trained along with the backbone: of its own features, and of those of its momentum
 * network
 */
export async function evaluateFeatures(
  session: FeatureSession,
  train: ImageSource,
  val: ImageSource,
  { online, momentum }: {
    readonly online?: LinearHead;
    readonly momentum?: { readonly session: FeatureSession; readonly head: LinearHead };
  } = {},
): Promise<FeatureEvaluation> {
  const bank = { features: await session.features(train), labels: train.labels };
  const queries = { features: await session.features(val), labels: val.labels };
  const numClasses = Math.max(train.classNames.length, val.classNames.length);
  return {
    knn: await neighbourAccuracy(session.gpu, bank, queries, { numClasses }),
    linear: await probeAccuracy(session.gpu, bank, queries, { numClasses }),
    ...online && { online: headAccuracy(queries, online) },
    ...momentum && {
      momentum: headAccuracy(
        { features: await momentum.session.features(val), labels: val.labels },
        momentum.head,
      ),
    },
  };
}
