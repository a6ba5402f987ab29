/**
 * A Gaussian prior on the device.
 *
 * @module
 */

import { fitsImage } from "../../kernels/image.ts";
import type { Gpu } from "../gpu/device.ts";
import { HeldImages } from "../gpu/images.ts";
import { RowMatrix } from "../graph/rows.ts";
import { FlatVector, type VectorLayout } from "../graph/vector.ts";
import type { Gaussian } from "./gaussian.ts";

/** Variance of the padding between tensors: so large that it never counts. */
export const PADDING_PSI = 1e30;

/**
 * Refuses a prior over another number of parameters than a vector has.
 *
 * @throws TypeError with both numbers
 */
export function requirePriorFits({ mean }: Pick<Gaussian, "mean">, { count, label }: VectorLayout): void {
  if (mean.length === count) return;
  throw new TypeError(`Cannot use a prior over ${mean.length} parameters: the network has ${count} in its ${label}`);
}

/** Mean, Psi and rows of a {@linkcode Gaussian} over a flat vector. */
export class DeviceGaussian {
  readonly mean: FlatVector;
  readonly psi: FlatVector;
  readonly rows: RowMatrix;
  /** The host's copy. */
  readonly host: Gaussian;
  readonly #gpu: Gpu;
  #images: HeldImages | undefined;

  constructor(gpu: Gpu, layout: VectorLayout, host: Gaussian) {
    requirePriorFits(host, layout);
    this.#gpu = gpu;
    this.host = host;
    this.mean = new FlatVector(gpu, "prior mean", layout);
    this.mean.write(host.mean);
    this.psi = new FlatVector(gpu, "prior psi", layout);
    this.psi.write(host.psi, PADDING_PSI);
    this.rows = new RowMatrix(gpu, "prior", layout, host.rows.length);
    host.rows.forEach((row, k) => this.rows.write(k, row));
  }

  /**
   * Images that take the place of the buffers, where the schedule is for a CPU: nothing of a prior changes, so that they
   * are copied once (see `kernels/image.ts`). Absent where a device would not take them.
   */
  images(): HeldImages | undefined {
    if (this.#gpu.schedule !== "cpu") return undefined;
    if (!this.rows.segments.every((_, index) => fitsImage(this.rows.rangeOf(index).size / 16))) return undefined;
    return this.#images ??= new HeldImages(this.#gpu);
  }

  /** Frees the buffers, where every launch that reads them has an image instead. */
  releaseBuffers(): void {
    this.mean.destroy();
    this.psi.destroy();
    this.rows.destroy();
  }

  /** Frees the device memory. */
  destroy(): void {
    this.releaseBuffers();
    this.#images?.destroy();
  }
}
