/**
 * Exponential moving averages on the device: of a network's weights, of a mean.
 *
 * @module
 */

import averageSource from "../../../kernels/exponential_average.wgsl" with { type: "text" };
import elementwiseSource from "../../../kernels/elementwise.wgsl" with { type: "text" };
import type { Gpu } from "../../gpu/device.ts";
import { type BufferRange, type Launch, prepareLaunch } from "../../gpu/launch.ts";
import { shapeLoop, widthOf } from "../../ops/elementwise.ts";

/** Numbers on the device and what follows them. */
export interface AveragedRange {
  readonly average: BufferRange;
  readonly value: BufferRange;
}

/** Moves averages towards values: average = keep * average + (1 - keep) * value. */
export class ExponentialAverage {
  readonly launches: readonly Launch[];
  readonly #gpu: Gpu;
  readonly #settings: GPUBuffer;

  private constructor(gpu: Gpu, settings: GPUBuffer, launches: readonly Launch[]) {
    this.#gpu = gpu;
    this.#settings = settings;
    this.launches = launches;
  }

  /** Builds the launches for ranges of equal sizes, pair by pair. */
  static async create(gpu: Gpu, label: string, ranges: readonly AveragedRange[]): Promise<ExponentialAverage> {
    const settings = gpu.createBuffer(`${label} share`, 4);
    const launches = await Promise.all(ranges.map(({ average, value }, index) => {
      const width = widthOf(value.size / 4);
      const { constants, groups } = shapeLoop({ count: value.size / 4 / width, width });
      const kernel = { label: `${label} ${index}`, source: elementwiseSource + averageSource, constants, groups };
      return prepareLaunch(gpu, kernel, [{ buffer: settings, offset: 0, size: 4 }, average, value]);
    }));
    return new ExponentialAverage(gpu, settings, launches);
  }

  /** Sets the share of an average that stays; it holds for what is submitted next. */
  prepare(keep: number): void {
    this.#gpu.device.queue.writeBuffer(this.#settings, 0, new Float32Array([keep]));
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#gpu.destroyBuffer(this.#settings);
  }
}
