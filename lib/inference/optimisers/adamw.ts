/**
 * AdamW (Loshchilov and Hutter, arXiv 1711.05101) over flat vectors, as `torch.optim.AdamW`.
 *
 * @module
 */

import elementwiseSource from "../../../kernels/elementwise.wgsl" with { type: "text" };
import adamwSource from "../../../kernels/adamw.wgsl" with { type: "text" };
import type { Gpu } from "../../gpu/device.ts";
import { type Launch, prepareLaunch } from "../../gpu/launch.ts";
import { FlatVector, segmentsOf } from "../../graph/vector.ts";
import { shapeLoop } from "../../ops/elementwise.ts";
import type { TrainedVector, VectorOptimiser } from "./optimiser.ts";

/** Constants of AdamW; the defaults are PyTorch's. */
export interface AdamWOptions {
  readonly weightDecay: number;
  /** Share of the mean gradient that is kept; default 0.9. */
  readonly beta1?: number;
  /** Share of the mean square that is kept; default 0.999. */
  readonly beta2?: number;
  /** Added to the root of the mean square; default 1e-8. */
  readonly eps?: number;
}

/** The update of one flat vector. */
export class AdamW implements VectorOptimiser {
  readonly launches: readonly Launch[];
  readonly #gpu: Gpu;
  readonly #settings: GPUBuffer;
  readonly #means: FlatVector;
  readonly #squares: FlatVector;
  readonly #options: Required<AdamWOptions>;

  private constructor(
    gpu: Gpu,
    options: Required<AdamWOptions>,
    parts: { launches: readonly Launch[]; settings: GPUBuffer; means: FlatVector; squares: FlatVector },
  ) {
    this.#gpu = gpu;
    this.#options = options;
    this.launches = parts.launches;
    this.#settings = parts.settings;
    this.#means = parts.means;
    this.#squares = parts.squares;
  }

  /** Builds the launches of an update. */
  static async create(gpu: Gpu, { label, theta, gradient }: TrainedVector, options: AdamWOptions): Promise<AdamW> {
    const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay } = options;
    const settings = gpu.createBuffer(`${label} adamw`, 12);
    const means = new FlatVector(gpu, "mean gradient", theta.layout);
    const squares = new FlatVector(gpu, "mean square", theta.layout);
    const launches = await Promise.all(
      segmentsOf(theta.layout, 1, gpu.maxBindingBytes).map((segment, index) => {
        const { constants, groups } = shapeLoop({ count: segment.length / 4, width: 4 });
        const kernel = {
          label: `${label} adamw ${index}`,
          source: elementwiseSource + adamwSource,
          constants,
          floats: { BETA_1: beta1, BETA_2: beta2, EPS: eps },
          groups,
        };
        const vectors = [theta, gradient, means, squares].map((vector) => vector.segment(segment));
        return prepareLaunch(gpu, kernel, [{ buffer: settings, offset: 0, size: 12 }, ...vectors]);
      }),
    );
    return new AdamW(gpu, { beta1, beta2, eps, weightDecay }, { launches, settings, means, squares });
  }

  /** Sets the values of a step, counted from 0. */
  prepare(step: number, learningRate: number): void {
    const { beta1, beta2, weightDecay } = this.#options;
    const values = [
      learningRate / (1 - beta1 ** (step + 1)),
      1 / Math.sqrt(1 - beta2 ** (step + 1)),
      1 - learningRate * weightDecay,
    ];
    this.#gpu.device.queue.writeBuffer(this.#settings, 0, new Float32Array(values));
  }

  /** Mean gradients, then mean squares: [2 P]. Waits for the device. */
  async readState(): Promise<Float32Array> {
    return Float32Array.from([...await this.#means.read(), ...await this.#squares.read()]);
  }

  /** Writes what {@linkcode readState} gave. */
  writeState(state: Float32Array): void {
    this.#means.write(state.subarray(0, state.length / 2));
    this.#squares.write(state.subarray(state.length / 2));
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#gpu.destroyBuffer(this.#settings);
    this.#means.destroy();
    this.#squares.destroy();
  }
}
