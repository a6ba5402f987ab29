/**
 * The step's settings as the kernels read them: mirrors `kernels/control.wgsl`.
 *
 * @module
 */

import type { Gpu } from "./device.ts";

/** Values of one step; what is absent is zero. */
export interface ControlValues {
  readonly seed: number;
  readonly step: number;
  readonly chain?: number;
  /** Step along the gradient of the loss. */
  readonly learningRate?: number;
  /** Standard deviation of the step's noise. */
  readonly noise?: number;
  readonly momentum?: number;
  readonly weightDecay?: number;
  /** 1 / N. */
  readonly inverseCount?: number;
  /** k of the implicit prior step. */
  readonly priorStep?: number;
  /** Square root of the temperature; 0 in steps without noise. */
  readonly priorNoise?: number;
  readonly damping?: number;
}

/** A small buffer that the host writes before each step. */
export class Control {
  readonly buffer: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #bytes = new ArrayBuffer(48);
  readonly #words = new Uint32Array(this.#bytes);
  readonly #floats = new Float32Array(this.#bytes);

  constructor(gpu: Gpu, label: string) {
    this.#gpu = gpu;
    this.buffer = gpu.createBuffer(`${label} control`, this.#bytes.byteLength);
  }

  /** Writes the values; they hold for what is submitted next. */
  write(values: ControlValues): void {
    this.#words.set([values.seed >>> 0, Math.floor(values.seed / 0x100000000) >>> 0, values.step, values.chain ?? 0]);
    this.#floats.set([
      values.learningRate ?? 0,
      values.noise ?? 0,
      values.momentum ?? 0,
      values.weightDecay ?? 0,
      values.inverseCount ?? 0,
      values.priorStep ?? 0,
      values.priorNoise ?? 0,
      values.damping ?? 0,
    ], 4);
    this.#gpu.device.queue.writeBuffer(this.buffer, 0, this.#bytes);
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#gpu.destroyBuffer(this.buffer);
  }
}
