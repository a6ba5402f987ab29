/**
 * How much of a class can be read off features by a linear classifier: the gradient of many examples on the device in
 * float32, block by block, the descent in float64.
 *
 * @module
 */

import { fitProbe, logisticGradient, type ProbeOptions, Standardisation } from "../evaluation/linear_probe.ts";
import type { LabelledFeatures } from "../evaluation/nearest_neighbours.ts";
import type { Gpu } from "../gpu/device.ts";
import { submitLaunches } from "../gpu/launch.ts";
import { compile, planProgram, type Program } from "../graph/program.ts";
import { FlatVector } from "../graph/vector.ts";
import { MASKED_LABEL } from "../ops/softmax_cross_entropy.ts";
import { headAccuracy, lowerLinearClassifier } from "./linear_classifier.ts";

/** The most bytes of features, or of logits, on the device at once. */
const BLOCK_BYTES = 2 ** 27;
/** Products of features and weights up to which this thread has the gradient before the device's could be read. */
const HOST_PRODUCTS = 2 ** 21;

/** Rows on the device at once; 0 where it is not worth asking. */
function rowsOf(gpu: Gpu, count: number, width: number, numClasses: number): number {
  if (count * width * numClasses <= HOST_PRODUCTS) return 0;
  const most = Math.min(BLOCK_BYTES, gpu.maxBindingBytes) / (4 * Math.max(width, numClasses));
  const blocks = Math.ceil(count / Math.max(1, Math.floor(most)));
  return Math.ceil(count / blocks);
}

/**
 * The weights [C * F + C] of a linear classifier that is fitted to standardised features; weight, then bias. Waits for the
 * device.
 */
export async function probeWeights(
  gpu: Gpu,
  examples: LabelledFeatures & { readonly features: Float32Array<ArrayBuffer> },
  options: ProbeOptions,
): Promise<Float64Array> {
  const count = examples.labels.length, width = examples.features.length / count, { numClasses } = options;
  const rows = rowsOf(gpu, count, width, numClasses), { features, labels } = examples;
  if (rows === 0) return await fitProbe((at) => logisticGradient(features, labels, at, numClasses), width, options);
  const gradients = await BlockGradients.create(gpu, examples, { rows, width, numClasses });
  try {
    return await fitProbe((weights) => gradients.at(weights), width, options);
  } finally {
    gradients.destroy();
  }
}

/**
 * Share of `queries` that a linear classifier gets right which is fitted to `train`, 0 to 1. Waits for the device.
 *
 * @throws RangeError where there are no examples
 */
export async function probeAccuracy(
  gpu: Gpu,
  train: LabelledFeatures,
  queries: LabelledFeatures,
  options: ProbeOptions,
): Promise<number> {
  const count = train.labels.length;
  if (count === 0 || queries.labels.length === 0) {
    throw new RangeError(
      `Cannot fit a classifier to ${count} examples and measure it on ${queries.labels.length}: some are required`,
    );
  }
  const scales = new Standardisation(train.features, train.features.length / count);
  const inputs = { features: scales.apply(train.features), labels: train.labels };
  const weights = Float32Array.from(await probeWeights(gpu, inputs, options));
  const asked = { features: scales.apply(queries.features), labels: queries.labels };
  return headAccuracy(asked, { weights, numClasses: options.numClasses });
}

/** Bytes that {@linkcode probeAccuracy} would allocate on the device meanwhile; allocates nothing. */
export function estimateProbe(gpu: Gpu, width: number, examples: number, numClasses: number): number {
  const rows = rowsOf(gpu, examples, width, numClasses);
  if (rows === 0) return 0;
  const { dispatches, layout } = lowerLinearClassifier(gpu, [rows, width], numClasses);
  return planProgram(gpu, dispatches).bytes + 4 * (rows * (width + 1) + 2 * layout.paddedCount);
}

/** Sizes of a block. */
interface BlockSizes {
  readonly rows: number;
  readonly width: number;
  readonly numClasses: number;
}

/** Gradients of the mean over all examples, of which a block is on the device at a time. */
class BlockGradients {
  readonly #gpu: Gpu;
  readonly #examples: LabelledFeatures & { readonly features: Float32Array<ArrayBuffer> };
  readonly #sizes: BlockSizes;
  readonly #program: Program;
  readonly #buffers: { readonly features: GPUBuffer; readonly labels: GPUBuffer };
  readonly #vectors: { readonly weights: FlatVector; readonly gradient: FlatVector };
  /** First example of the block that is on the device. */
  #held: number | undefined;

  private constructor(
    gpu: Gpu,
    examples: LabelledFeatures & { readonly features: Float32Array<ArrayBuffer> },
    sizes: BlockSizes,
    parts: {
      readonly program: Program;
      readonly buffers: { readonly features: GPUBuffer; readonly labels: GPUBuffer };
      readonly vectors: { readonly weights: FlatVector; readonly gradient: FlatVector };
    },
  ) {
    this.#gpu = gpu;
    this.#examples = examples;
    this.#sizes = sizes;
    this.#program = parts.program;
    this.#buffers = parts.buffers;
    this.#vectors = parts.vectors;
  }

  static async create(
    gpu: Gpu,
    examples: LabelledFeatures & { readonly features: Float32Array<ArrayBuffer> },
    sizes: BlockSizes,
  ): Promise<BlockGradients> {
    const { rows, width, numClasses } = sizes;
    const { features, labels, dispatches, layout } = lowerLinearClassifier(gpu, [rows, width], numClasses);
    const buffers = {
      features: gpu.createBuffer("probed features", 4 * rows * width),
      labels: gpu.createBuffer("probed labels", 4 * rows),
    };
    const vectors = {
      weights: new FlatVector(gpu, "probe", layout),
      gradient: new FlatVector(gpu, "gradient", layout),
    };
    const program = await compile(gpu, dispatches, {
      label: "linear probe",
      vectors: { head: vectors.weights },
      gradients: { head: vectors.gradient },
      externals: new Map([[features, buffers.features], [labels, buffers.labels]]),
    });
    return new BlockGradients(gpu, examples, sizes, { program, buffers, vectors });
  }

  /** The gradient at weights [C * F + C]. Waits for the device. */
  async at(weights: Float64Array): Promise<Float64Array> {
    const { weights: vector, gradient } = this.#vectors, { rows } = this.#sizes, count = this.#examples.labels.length;
    vector.write(Float32Array.from(weights));
    const sum = new Float64Array(weights.length);
    for (let first = 0; first < count; first += rows) {
      this.#hold(first);
      submitLaunches(this.#gpu, "linear probe", this.#program.launches);
      const share = Math.min(rows, count - first) / count, slopes = await gradient.read();
      for (let i = 0; i < sum.length; i++) sum[i] += share * slopes[i];
    }
    return sum;
  }

  /** Puts the block that begins with example `first` on the device; what is missing of it does not count. */
  #hold(first: number): void {
    if (this.#held === first) return;
    const { rows, width } = this.#sizes, { features, labels } = this.#examples, { queue } = this.#gpu.device;
    const known = new Uint32Array(rows).fill(MASKED_LABEL), valid = labels.subarray(first, first + rows);
    known.set(valid);
    queue.writeBuffer(this.#buffers.labels, 0, known);
    queue.writeBuffer(this.#buffers.features, 0, features, first * width, valid.length * width);
    this.#held = first;
  }

  destroy(): void {
    this.#program.destroy();
    this.#gpu.destroyBuffer(this.#buffers.features);
    this.#gpu.destroyBuffer(this.#buffers.labels);
    this.#vectors.weights.destroy();
    this.#vectors.gradient.destroy();
  }
}
