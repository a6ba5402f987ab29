/**
 * Linear classifiers that are trained along with a backbone that learns without labels, as in the original system. The
 * online one sees the features of each step's views (the small ones too, which the original leaves out), the momentum one
 * those that the momentum network makes of the large views. Neither changes anything about them: the backbone's bits do
 * not depend on it.
 *
 * @module
 */

import type { Gpu } from "../../gpu/device.ts";
import type { BufferRange, Launch } from "../../gpu/launch.ts";
import { compile, planProgram, type Program } from "../../graph/program.ts";
import { FlatVector } from "../../graph/vector.ts";
import { initialHead } from "../../models/initial_head.ts";
import type { Tensor } from "../../ops/operation.ts";
import { type LinearHead, lowerLinearClassifier } from "../linear_classifier.ts";
import { createOptimiser, type OptimiserSettings, type VectorOptimiser } from "../optimisers/optimiser.ts";
import type { MemoryEstimate } from "../training_step.ts";

/** Whose features a classifier sees: the trained network's or the momentum network's. */
export type ClassifiedNetwork = "online" | "momentum";

/** Part of the initial weights, behind those of backbone, head, statistics and memories; names in a checkpoint. */
const CLASSIFIERS = {
  online: { part: 4, weights: "onlineClassifier", momentum: "onlineClassifierMomentum" },
  momentum: { part: 5, weights: "momentumClassifier", momentum: "momentumClassifierMomentum" },
} as const satisfies Record<ClassifiedNetwork, unknown>;

/** Whatever moves the backbone: a learning rate means the same in all runs. */
const OPTIMISER: OptimiserSettings = { optimiser: "sgd", momentum: 0.9, weightDecay: 0 };

/** What is told apart, and how fast it is learned. */
export interface OnlineClassifierOptions {
  readonly numClasses: number;
  /** Its learning rate over the backbone's, the same at every step. */
  readonly relativeRate: number;
}

/** Features that a program leaves on the device. */
export interface LeftFeatures {
  /** [rows, F], view by view: view v of example i is row v * B + i. */
  readonly shape: readonly number[];
  readonly range: BufferRange;
}

/** What a classifier of features [rows, F] would allocate; allocates nothing. */
export function estimateOnlineClassifier(
  gpu: Gpu,
  shape: readonly number[],
  { numClasses }: OnlineClassifierOptions,
): Pick<MemoryEstimate, "parameters" | "gradients" | "samplerState" | "activations" | "activationsLowerBound"> {
  const { dispatches, layout } = lowerLinearClassifier(gpu, shape, numClasses),
    { bytes, lowerBound } = planProgram(gpu, dispatches);
  const vector = 4 * layout.paddedCount, labels = 4 * shape[0];
  return {
    parameters: vector,
    gradients: vector,
    samplerState: vector,
    activations: bytes + labels,
    activationsLowerBound: lowerBound + labels,
  };
}

/** What a classifier is made of. */
interface Parts {
  readonly program: Program;
  readonly labels: GPUBuffer;
  readonly weights: FlatVector;
  readonly gradient: FlatVector;
  readonly optimiser: VectorOptimiser;
}

/** A linear classifier on the device, with weights, gradient and momentum of its own. */
export class OnlineClassifier {
  /** Launches of one step: they go behind those that make the features. */
  readonly launches: readonly Launch[];
  /** Where the features of the last step are, [rows, F]. */
  readonly features: BufferRange;
  readonly #gpu: Gpu;
  readonly #of: ClassifiedNetwork;
  readonly #options: OnlineClassifierOptions;
  readonly #parts: Parts;
  /** The labels of all rows. */
  readonly #rows: Uint32Array<ArrayBuffer>;

  private constructor(
    gpu: Gpu,
    of: ClassifiedNetwork,
    { shape, range }: LeftFeatures,
    options: OnlineClassifierOptions,
    parts: Parts,
  ) {
    this.launches = [...parts.program.launches, ...parts.optimiser.launches];
    this.features = range;
    this.#gpu = gpu;
    this.#of = of;
    this.#options = options;
    this.#parts = parts;
    this.#rows = new Uint32Array(shape[0]);
  }

  /** A classifier with fresh weights, drawn as PyTorch draws those of a linear layer. */
  static async create(
    gpu: Gpu,
    left: LeftFeatures,
    options: OnlineClassifierOptions,
    seed: number,
    of: ClassifiedNetwork = "online",
  ): Promise<OnlineClassifier> {
    const label = `${of} classifier`;
    const { features, labels: rows, dispatches, layout } = lowerLinearClassifier(gpu, left.shape, options.numClasses);
    const labels = gpu.createBuffer(`${label} labels`, 4 * left.shape[0]);
    const weights = new FlatVector(gpu, "weights", layout), gradient = new FlatVector(gpu, "gradient", layout);
    weights.write(initialHead(layout, seed, CLASSIFIERS[of].part));
    const program = await compile(gpu, dispatches, {
      label,
      vectors: { head: weights },
      gradients: { head: gradient },
      externals: new Map<Tensor, GPUBuffer | BufferRange>([[features, left.range], [rows, labels]]),
    });
    const optimiser = await createOptimiser(gpu, { label, theta: weights, gradient }, OPTIMISER);
    return new OnlineClassifier(gpu, of, left, options, { program, labels, weights, gradient, optimiser });
  }

  /**
   * Sets the values of a step, counted from 0; they hold for what is submitted next.
   *
   * @param labels [B]: classes of the examples, the same in each view
   * @param learningRate the backbone's
   */
  prepare(step: number, labels: Uint32Array, learningRate: number): void {
    for (let row = 0; row < this.#rows.length; row += labels.length) this.#rows.set(labels, row);
    this.#gpu.device.queue.writeBuffer(this.#parts.labels, 0, this.#rows);
    this.#parts.optimiser.prepare(step, learningRate * this.#options.relativeRate);
  }

  /** Reads the classifier as it is now. Waits for the device. */
  async read(): Promise<LinearHead> {
    return { weights: await this.#parts.weights.read(), numClasses: this.#options.numClasses };
  }

  /** Reads what it keeps between steps, by the names in a checkpoint. Waits for the device. */
  async readState(): Promise<Record<string, Float32Array>> {
    const { weights, optimiser } = this.#parts, names = CLASSIFIERS[this.#of];
    return { [names.weights]: await weights.read(), [names.momentum]: await optimiser.readState() };
  }

  /** Writes what {@linkcode readState} gave. Without it, as of a checkpoint from before there were any, it begins anew. */
  writeState(state: Readonly<Record<string, Float32Array>>): void {
    const names = CLASSIFIERS[this.#of], weights = state[names.weights];
    if (weights === undefined) return;
    this.#parts.weights.write(weights);
    this.#parts.optimiser.writeState(state[names.momentum]);
  }

  /** Frees the device memory. */
  destroy(): void {
    const { program, labels, weights, gradient, optimiser } = this.#parts;
    program.destroy();
    this.#gpu.destroyBuffer(labels);
    [weights, gradient, optimiser].forEach((part) => part.destroy());
  }
}
