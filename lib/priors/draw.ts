/**
 * Draws from a SWAG posterior, on the device (Maddox et al., arXiv 1902.02476, equation 1).
 *
 * @module
 */

import controlSource from "../../kernels/control.wgsl" with { type: "text" };
import elementwise from "../../kernels/elementwise.wgsl" with { type: "text" };
import swagSampleSource from "../../kernels/swag_sample.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import { type Launch, prepareLaunch, submitLaunches } from "../gpu/launch.ts";
import { RowMatrix } from "../graph/rows.ts";
import { FlatVector } from "../graph/vector.ts";
import { Control } from "../gpu/control.ts";
import { philoxSource } from "../gpu/philox.ts";
import { shapeLoop } from "../ops/elementwise.ts";
import { PhiloxSequence, Stream } from "../random/philox.ts";
import type { Swag } from "./swag.ts";

/** Which draw. The same values give the same draw, whatever was drawn before. */
export interface DrawOptions {
  /** Seed of the draws. */
  readonly seed: number;
  /** Number of the draw; different numbers give independent draws. */
  readonly index: number;
  /** lambda: multiplies the covariance; default 1, 0 gives the mean. */
  readonly scale?: number;
}

/**
 * Third word of the counters of the low-rank weights, which come from the host; the device's diagonal draws have 0
 * there, so the two never share a number.
 */
const HOST_WORD = 1;

/** Standard normal weights of the low-rank part of a draw, [K]. */
export function lowRankWeights(seed: number, index: number, rank: number): Float32Array<ArrayBuffer> {
  const sequence = new PhiloxSequence(seed, Stream.prior, index, HOST_WORD);
  return Float32Array.from({ length: rank }, () => sequence.normal());
}

function requireIndex({ index, scale = 1 }: DrawOptions): void {
  if (!Number.isInteger(index) || index < 0 || index > 0xffffffff) {
    throw new RangeError(`Cannot draw from SWAG: the index is ${index}, but an integer from 0 to 2^32 - 1 is required`);
  }
  if (!(scale >= 0 && Number.isFinite(scale))) {
    throw new RangeError(`Cannot draw from SWAG: the scale is ${scale}, but a number of at least 0 is required`);
  }
}

/** A SWAG posterior on the device, for many draws into one vector. */
export class SwagSampler {
  readonly #gpu: Gpu;
  readonly #control: Control;
  readonly #mean: FlatVector;
  readonly #variance: FlatVector;
  readonly #rows: RowMatrix;
  readonly #weights: GPUBuffer;
  #launches: readonly Launch[] = [];

  private constructor(gpu: Gpu, swag: Swag, output: FlatVector) {
    const { layout } = output;
    if (swag.mean.length !== layout.count) {
      throw new TypeError(
        `Cannot draw from a SWAG posterior over ${swag.mean.length} parameters: the network has ` +
          `${layout.count} in its ${layout.label}`,
      );
    }
    this.#gpu = gpu;
    this.#control = new Control(gpu, "swag draw");
    this.#mean = new FlatVector(gpu, "swag mean", layout);
    this.#variance = new FlatVector(gpu, "swag variance", layout);
    this.#rows = new RowMatrix(gpu, "swag factor", layout, swag.covFactor.length);
    this.#weights = gpu.createBuffer("swag weights", 4 * Math.max(1, swag.covFactor.length));
    this.#mean.write(swag.mean);
    this.#variance.write(swag.variance);
    swag.covFactor.forEach((row, k) => this.#rows.write(k, row));
  }

  /** Uploads a posterior whose draws go to `output`. Throws `TypeError` where the lengths differ. */
  static async create(gpu: Gpu, swag: Swag, output: FlatVector): Promise<SwagSampler> {
    const sampler = new SwagSampler(gpu, swag, output);
    sampler.#launches = await Promise.all(sampler.#rows.segments.map((segment, index) => {
      const { constants, groups } = shapeLoop({ count: segment.length / 4, width: 4 });
      const kernel = {
        label: `swag draw ${index}`,
        source: controlSource + philoxSource(gpu) + elementwise + swagSampleSource,
        constants: {
          ...constants,
          ROWS_K: sampler.#rows.count,
          BASE: segment.globalOffset / 4,
          STREAM: Stream.prior,
        },
        groups,
      };
      return prepareLaunch(gpu, kernel, [
        { buffer: sampler.#control.buffer, offset: 0, size: sampler.#control.buffer.size },
        sampler.#mean.segment(segment),
        sampler.#variance.segment(segment),
        sampler.#rows.rangeOf(index),
        { buffer: sampler.#weights, offset: 0, size: sampler.#weights.size },
        output.segment(segment),
      ]);
    }));
    return sampler;
  }

  /** Writes mean + sqrt(scale / 2) * (sqrt(variance) z1 + Q^T z2) to the output; does not wait for the device. */
  draw(options: DrawOptions): void {
    requireIndex(options);
    const { seed, index, scale = 1 } = options;
    const weights = lowRankWeights(seed, index, this.#rows.count);
    if (weights.length > 0) this.#gpu.device.queue.writeBuffer(this.#weights, 0, weights);
    this.#control.write({ seed, step: index, noise: Math.sqrt(scale / 2) });
    submitLaunches(this.#gpu, "swag draw", this.#launches);
  }

  /** Frees the device memory; the output stays. */
  destroy(): void {
    this.#control.destroy();
    this.#mean.destroy();
    this.#variance.destroy();
    this.#rows.destroy();
    this.#gpu.destroyBuffer(this.#weights);
  }
}

/** One draw from a SWAG posterior into `output`: see {@linkcode SwagSampler} for many. */
export async function drawSwag(gpu: Gpu, swag: Swag, output: FlatVector, options: DrawOptions): Promise<void> {
  requireIndex(options);
  const sampler = await SwagSampler.create(gpu, swag, output);
  try {
    sampler.draw(options);
    await gpu.finish();
  } finally {
    sampler.destroy();
  }
}
