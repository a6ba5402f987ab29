/**
 * Evaluation on the device: logits of a whole set, and BatchNorm statistics for weights that never trained.
 *
 * @module
 */

import { evaluationBatches } from "../data/evaluation_batches.ts";
import type { ImageSource } from "../data/dataset.ts";
import type { Normalisation } from "../data/normalisation.ts";
import { ModelAverage } from "../evaluation/model_average.ts";
import type { Gpu } from "../gpu/device.ts";
import { encodeLaunches, submitLaunches } from "../gpu/launch.ts";
import { lowerForward } from "../graph/graph.ts";
import { packActivations, type Precision } from "../graph/precision.ts";
import { compile, type Program } from "../graph/program.ts";
import { buildClassifier, type Classifier, type ClassifierConfig } from "../models/classifier.ts";
import { DeviceModel } from "../models/device_model.ts";
import { createExternals } from "../models/externals.ts";
import type { Weights } from "../models/weights.ts";
import { targetOf, type Tensor } from "../ops/operation.ts";
import { requireBatchSize, requireSize } from "./requirements.ts";

/** How sets are evaluated. */
export interface PredictionOptions {
  /** Examples at a time: what the device's memory allows. */
  readonly batchSize: number;
  /** From bytes to inputs, as in training. */
  readonly normalisation: Normalisation;
  /** How activations are stored; default `f32`. */
  readonly precision?: Precision;
}

/** A model's forward pass. */
export class PredictionSession {
  readonly #model: DeviceModel;
  readonly #gpu: Gpu;
  readonly #classifier: Classifier;
  readonly #externals: ReadonlyMap<Tensor, GPUBuffer>;
  readonly #program: Program;

  private constructor(
    model: DeviceModel,
    classifier: Classifier,
    externals: ReadonlyMap<Tensor, GPUBuffer>,
    program: Program,
  ) {
    this.#model = model;
    this.#gpu = model.gpu;
    this.#classifier = classifier;
    this.#externals = externals;
    this.#program = program;
  }

  /** Compiles the evaluation-mode forward pass. */
  static create(model: DeviceModel, options: PredictionOptions): Promise<PredictionSession> {
    return PredictionSession.#compile(model, options, false);
  }

  static async #compile(model: DeviceModel, options: PredictionOptions, training: boolean): Promise<PredictionSession> {
    const { gpu, config } = model;
    requireBatchSize(options.batchSize);
    // With momentum 1 the running statistics of a training-mode pass are the batch's own.
    const classifier = buildClassifier(config, options.batchSize, training ? { batchNormMomentum: 1 } : {});
    const externals = createExternals(gpu, "evaluation", classifier, options.normalisation);
    const target = targetOf(gpu, { training });
    const { graph, logits } = classifier;
    const dispatches = lowerForward(graph, target);
    const stored = options.precision === "mixed" ? packActivations(graph, dispatches, [logits]) : dispatches;
    const program = await compile(gpu, stored, {
      label: training ? "statistics" : "evaluation",
      vectors: model.vectors,
      externals,
      keep: [logits],
    });
    return new PredictionSession(model, classifier, externals, program);
  }

  /** Logits of every example, [n, classes], in the set's order. Waits for the device once. */
  async logits(set: ImageSource): Promise<Float32Array> {
    const { numClasses } = this.#model.config;
    requireSize(set, this.#model.config);
    const { device } = this.#gpu;
    const results = this.#gpu.createBuffer("logits of a set", set.labels.length * numClasses * 4);
    const { buffer, offset } = this.#program.rangeOf(this.#classifier.logits);
    try {
      for await (const batch of evaluationBatches(set, this.#classifier.batchSize)) {
        this.#gpu.writeBytes(this.#externals.get(this.#classifier.images)!, batch.images);
        device.queue.writeBuffer(this.#externals.get(this.#classifier.labels)!, 0, batch.labels);
        const encoder = device.createCommandEncoder({ label: "evaluation" });
        encodeLaunches(encoder, "evaluation", this.#program.launches);
        encoder.copyBufferToBuffer(buffer, offset, results, batch.start * numClasses * 4, batch.valid * numClasses * 4);
        device.queue.submit([encoder.finish()]);
      }
      return new Float32Array(await this.#gpu.read(results));
    } finally {
      this.#gpu.destroyBuffer(results);
    }
  }

  /**
   * Sets the model's running statistics to their mean over batches of `set`, for weights that never ran in training
   * (SWAG draws, averages). A last batch that is not full does not count, unless it is the only one.
   */
  static async updateBatchNorm(model: DeviceModel, set: ImageSource, options: PredictionOptions): Promise<void> {
    requireSize(set, model.config);
    const batchSize = Math.min(options.batchSize, set.labels.length);
    const session = await PredictionSession.#compile(model, { ...options, batchSize }, true);
    try {
      const { state } = model.vectors;
      const sum = new Float64Array(state.layout.count);
      let batches = 0;
      for await (const batch of evaluationBatches(set, batchSize)) {
        if (batch.valid < batchSize) continue;
        model.gpu.writeBytes(session.#externals.get(session.#classifier.images)!, batch.images);
        submitLaunches(model.gpu, "statistics", session.#program.launches);
        (await state.read()).forEach((value, i) => sum[i] += value);
        batches++;
      }
      state.write(Float32Array.from(sum, (value) => value / batches));
    } finally {
      session.destroy();
    }
  }

  /** Frees all that the session made; the model stays. */
  destroy(): void {
    this.#program.destroy();
    this.#externals.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}

/**
 * The Bayesian model average of samples on a set: p(y|x) is the mean over the samples of their softmax.
 *
 * @param samples weights with their running statistics; drawn one at a time, so that they need not fit memory together
 * @throws TypeError where images have another size than the network's
 * @throws RangeError where the batch size is not a positive whole number
 */
export async function averagePredictions(
  gpu: Gpu,
  config: ClassifierConfig,
  samples: Iterable<Weights> | AsyncIterable<Weights>,
  set: ImageSource,
  options: PredictionOptions,
): Promise<ModelAverage> {
  using owned = new DisposableStack();
  const model = owned.adopt(new DeviceModel(gpu, config), (made) => made.destroy());
  const batchSize = Math.min(options.batchSize, set.labels.length);
  const created = await PredictionSession.create(model, { ...options, batchSize });
  const session = owned.adopt(created, (made) => made.destroy());
  const average = new ModelAverage(set.labels.length, config.numClasses);
  for await (const weights of samples) {
    model.write(weights);
    average.add(await session.logits(set));
  }
  return average;
}
