/**
 * What the steps of a run report: kept on the device until it is read, because a read waits for all of them.
 *
 * @module
 */

import { DivergedError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { BufferRange } from "../gpu/launch.ts";
import { LOSS_SCALE_LENGTH } from "../ops/scale_gradient.ts";

/** Steps whose metrics wait on the device at most. */
const RING_SLOTS = 64;
/** Numbers of a slot: the loss's totals, then the state of the loss scale. */
const TOTALS = 3, SLOT_LENGTH = TOTALS + LOSS_SCALE_LENGTH;

/** What a step reported. */
export interface StepMetrics {
  /** Step, from 0. */
  readonly step: number;
  /** Mean cross-entropy over the batch, in nats, before the step's update. */
  readonly loss: number;
  /** Share of the batch that was classified right, 0 to 1, before the step's update. */
  readonly accuracy: number;
  /** Under `mixed`: what the next step's loss is multiplied by. */
  readonly lossScale?: number;
  /** Under `mixed`: steps of the chain so far, this one included, that were skipped for an overflow of f16. */
  readonly skippedSteps?: number;
}

/** Refuses to go on from losses or gradients that are not finite. */
function requireFinite(metrics: readonly StepMetrics[]): void {
  const diverged = metrics.find(({ loss, lossScale = 1 }) => !Number.isFinite(loss) || lossScale < 1);
  if (diverged === undefined) return;
  const { step, loss, lossScale } = diverged;
  const found = Number.isFinite(loss) ? "the gradient overflows f16 even at a loss scale of 1" : `the loss is ${loss}`;
  throw new DivergedError(
    `Cannot go on training: at step ${step} ${found}, but a finite one is required; use a smaller learning rate` +
      (lossScale === undefined ? "" : ", or --precision f32: f16 holds activations up to 65504"),
  );
}

/** A ring of the last steps' metrics. */
export class MetricsRing {
  readonly #gpu: Gpu;
  readonly #buffer: GPUBuffer;
  #steps: number[] = [];

  /** An empty ring; destroy it. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#buffer = gpu.createBuffer("metrics ring", RING_SLOTS * SLOT_LENGTH * 4);
  }

  /** Steps whose metrics wait to be read; at 64 they must be. */
  get pending(): number {
    return this.#steps.length;
  }

  /** Refuses a step for whose metrics there is no room. */
  requireRoom(): void {
    if (this.#steps.length < RING_SLOTS) return;
    throw new RangeError(`Cannot submit a step: the metrics of ${RING_SLOTS} steps wait to be read`);
  }

  /** Encodes that a step's numbers are kept: the loss's totals and, under `mixed`, the state of the loss scale. */
  keep(encoder: GPUCommandEncoder, step: number, { buffer, offset, size }: BufferRange, lossScale?: GPUBuffer): void {
    const slot = this.#steps.length * SLOT_LENGTH * 4;
    encoder.copyBufferToBuffer(buffer, offset, this.#buffer, slot, size);
    if (lossScale) encoder.copyBufferToBuffer(lossScale, 0, this.#buffer, slot + size, LOSS_SCALE_LENGTH * 4);
    this.#steps.push(step);
  }

  /**
   * Reads the metrics of the steps since the last call. Waits for the device.
   *
   * @param scaled whether the state of a loss scale was kept
   * @throws DivergedError at the first loss that is not finite, or where gradients are not, however the loss is scaled
   */
  async read(scaled: boolean): Promise<StepMetrics[]> {
    if (this.#steps.length === 0) return [];
    const numbers = new Float32Array(await this.#gpu.read(this.#buffer, 0, this.#steps.length * SLOT_LENGTH * 4));
    const metrics = this.#steps.map((step, index): StepMetrics => {
      const slot = numbers.subarray(index * SLOT_LENGTH, (index + 1) * SLOT_LENGTH);
      const [loss, right, count] = slot;
      const scaling = scaled && { lossScale: slot[TOTALS], skippedSteps: slot[TOTALS + 2] };
      return { step, loss: loss / count, accuracy: right / count, ...scaling };
    });
    this.#steps = [];
    requireFinite(metrics);
    return metrics;
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#gpu.destroyBuffer(this.#buffer);
  }
}
