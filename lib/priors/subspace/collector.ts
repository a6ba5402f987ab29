/**
 * Snapshots into a learned Gaussian, by the subspace that its factor spans.
 *
 * @module
 */

import type { Gpu } from "../../gpu/device.ts";
import type { FlatVector, VectorLayout } from "../../graph/vector.ts";
import { type Swag, SwagCollector, type SwagOptions, type SwagState } from "../swag.ts";
import { type PcaRank, principalComponents } from "./principal_components.ts";
import { randomDirections } from "./random_directions.ts";
import { Sketch } from "./sketch.ts";

/**
 * What the rows of the factor Q are, with K = `maxRank` and d the n deviations of all snapshots but the first:
 * - `covariance`: the last K deviations; Q^T Q = sum d d^T / (K - 1) over them
 * - `pca`: their principal components; Q^T Q is the best approximation of that sum of rank `pcaRank`
 * - `freq_dir`: Frequent Directions of all deviations; Q^T Q approximates sum d d^T / (n - 1) from below
 * - `random`: K random directions; Q^T Q has the expectation diag(variance). No information: the control
 */
export type Subspace = "covariance" | "pca" | "freq_dir" | "random";

/** Settings of the collection. */
export interface SubspaceOptions extends SwagOptions {
  /** Default `covariance`. */
  readonly subspace?: Subspace;
  /** Components that `pca` keeps of the last `maxRank` deviations; default all that differ from zero. */
  readonly pcaRank?: PcaRank;
  /** Seed of `random`; default 0. */
  readonly seed?: number;
}

/** Bytes on the device of a collector of such a vector, but for some kilobytes. Allocates nothing. */
export function estimateSubspace(
  { paddedCount }: Pick<VectorLayout, "paddedCount">,
  { subspace = "covariance", maxRank = 20 }: Pick<SubspaceOptions, "subspace" | "maxRank"> = {},
): number {
  const rows = { covariance: maxRank, pca: maxRank, freq_dir: maxRank > 0 ? maxRank + 1 : 0, random: 0 }[subspace];
  // Mean and squares. Without rows one is there all the same, for kernels to bind.
  return 4 * paddedCount * (2 + Math.max(1, rows));
}

/** Collects snapshots of a flat vector. Nothing is read back between them but 2 (K + 1) numbers by `freq_dir`. */
export class SubspaceCollector {
  readonly #collector: SwagCollector;
  readonly #options: SubspaceOptions;
  readonly #size: number;
  readonly #sketch: Sketch | undefined;

  private constructor(collector: SwagCollector, options: SubspaceOptions, size: number, sketch?: Sketch) {
    this.#collector = collector;
    this.#options = options;
    this.#size = size;
    this.#sketch = sketch;
  }

  /**
   * A collector of snapshots of `theta`.
   *
   * @throws RangeError where a rank is no whole number that can be kept
   */
  static async create(gpu: Gpu, theta: FlatVector, options: SubspaceOptions = {}): Promise<SubspaceCollector> {
    const { subspace = "covariance", pcaRank, maxRank = 20 } = options;
    if (typeof pcaRank === "number" && !(Number.isInteger(pcaRank) && pcaRank >= 1 && pcaRank <= maxRank)) {
      throw new RangeError(
        `Cannot keep ${pcaRank} principal components of ${maxRank} deviations: 1 to ${maxRank} or mle is required`,
      );
    }
    if (subspace === "freq_dir" && maxRank > 0) {
      const newest = await SwagCollector.create(gpu, theta, { ...options, maxRank: maxRank + 1, keep: "newest" });
      return new SubspaceCollector(newest, options, maxRank, await Sketch.create(gpu, newest.rows));
    }
    const ring = subspace === "random" ? 0 : maxRank;
    return new SubspaceCollector(
      await SwagCollector.create(gpu, theta, { ...options, maxRank: ring }),
      options,
      maxRank,
    );
  }

  /** Number of snapshots so far. */
  get count(): number {
    return this.#collector.count;
  }

  /** Takes a snapshot of theta as it is after all that was submitted. */
  async collect(): Promise<void> {
    this.#collector.collect();
    // The first deviation is none.
    if (this.count > 1) await this.#sketch?.append();
  }

  /** Reads what was learned. At least two snapshots are required. */
  async read(): Promise<Swag> {
    switch (this.#options.subspace) {
      case "pca": {
        const swag = await this.#collector.read();
        const { rows } = principalComponents(swag.covFactor, this.#options.pcaRank ?? swag.covFactor.length);
        return { ...swag, covFactor: rows, kind: "components" };
      }
      case "freq_dir":
        return { ...await this.#collector.readMoments(), covFactor: await this.#sketched(), kind: "components" };
      case "random": {
        const moments = await this.#collector.readMoments();
        const covFactor = randomDirections(moments.variance, this.#size, this.#options.seed ?? 0);
        return { ...moments, covFactor, kind: "random" };
      }
      default:
        return await this.#collector.read();
    }
  }

  /** Reads all that is needed to go on. Waits for the device. */
  async readState(): Promise<SwagState> {
    return { ...await this.#collector.readState(), sketch: await this.#sketch?.readState() };
  }

  /**
   * Goes on from what {@linkcode readState} gave, under the same options.
   *
   * @throws RangeError where the state is of another rank
   */
  writeState(state: SwagState): void {
    this.#collector.writeState(state);
    if (state.sketch !== undefined) this.#sketch?.writeState(state.sketch);
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#sketch?.destroy();
    this.#collector.destroy();
  }

  /** Rows of the sketch over sqrt(n - 1), of n deviations. */
  async #sketched(): Promise<Float32Array[]> {
    const { rows } = await this.#sketch?.readState() ?? { rows: [] };
    const scale = 1 / Math.sqrt(Math.max(1, this.count - 2));
    return rows.map((row) => row.map((value) => value * scale));
  }
}
