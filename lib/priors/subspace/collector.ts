/**
 * Snapshots into a learned Gaussian, by the subspace that its factor spans.
 *
 * @module
 */

import type { Gpu } from "../../gpu/device.ts";
import type { FlatVector } from "../../graph/vector.ts";
import { type Swag, SwagCollector, type SwagOptions, type SwagState } from "../swag.ts";
import { FrequentDirections } from "./frequent_directions.ts";
import { type PcaRank, principalComponents } from "./principal_components.ts";
import { randomDirections } from "./random_directions.ts";

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

/** Collects snapshots of a flat vector. Between snapshots nothing is read back but by `freq_dir`, every K of them. */
export class SubspaceCollector {
  readonly #collector: SwagCollector;
  readonly #options: SubspaceOptions;
  readonly #size: number;
  #sketch: FrequentDirections | undefined;

  private constructor(collector: SwagCollector, options: SubspaceOptions, size: number) {
    this.#collector = collector;
    this.#options = options;
    this.#size = size;
    if (options.subspace === "freq_dir") this.#sketch = new FrequentDirections(size);
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
    // A full ring goes into the sketch before it is overwritten.
    if (this.#sketch && this.#fresh === 0 && this.count > 1) this.#sketch.append(await this.#ring(this.#size));
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
    return { ...await this.#collector.readState(), sketch: this.#sketch?.state };
  }

  /**
   * Goes on from what {@linkcode readState} gave, under the same options.
   *
   * @throws RangeError where the state is of another rank
   */
  writeState(state: SwagState): void {
    this.#collector.writeState(state);
    if (this.#sketch) this.#sketch = new FrequentDirections(this.#size, state.sketch);
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#collector.destroy();
  }

  /** Deviations in the ring that the sketch does not have. */
  get #fresh(): number {
    return this.#size === 0 ? 0 : Math.max(0, this.count - 1) % this.#size;
  }

  async #ring(rows: number): Promise<Float32Array[]> {
    return this.#size === 0 ? [] : await this.#collector.readRing(rows);
  }

  /** Rows of the sketch of all deviations over sqrt(n - 1). The sketch itself stays as it is: the run may go on. */
  async #sketched(): Promise<Float32Array[]> {
    const sketch = new FrequentDirections(this.#size, this.#sketch!.state);
    sketch.append(await this.#ring(this.#fresh));
    const scale = 1 / Math.sqrt(Math.max(1, this.count - 2));
    return sketch.state.rows.map((row) => row.map((value) => value * scale));
  }
}
