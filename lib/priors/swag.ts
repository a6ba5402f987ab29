/**
 * SWAG (Maddox et al., arXiv 1902.02476): a Gaussian from snapshots of SGD.
 *
 * @module
 */

import swagCollectSource from "../../kernels/swag_collect.wgsl" with { type: "text" };
import elementwise from "../../kernels/elementwise.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import { type Launch, prepareLaunch, submitLaunches } from "../gpu/launch.ts";
import { RowMatrix } from "../graph/rows.ts";
import { FlatVector } from "../graph/vector.ts";
import { shapeLoop } from "../ops/elementwise.ts";
import type { SwagKind } from "./kinds.ts";
import type { SketchState } from "./subspace/sketch.ts";

/** A learned Gaussian, in PyTorch's order: N(mean, (diag(variance) + Q^T Q) / 2). SWAG's unless `kind` says otherwise. */
export interface Swag {
  /** [P] */
  readonly mean: Float32Array;
  /** [P]: E[theta^2] - mean^2, at least the clamp. */
  readonly variance: Float32Array;
  /** Q: rows of [P]; by default in time order, deviations over sqrt(K - 1). */
  readonly covFactor: readonly Float32Array[];
  /** What the numbers are, and how fewer rows are taken; default `deviations`. */
  readonly kind?: SwagKind;
}

/** Settings of the collection. */
export interface SwagOptions {
  /** Most deviations kept, the newest; default 20. */
  readonly maxRank?: number;
  /** Least variance; default 1e-6, as the original. */
  readonly varianceClamp?: number;
}

/** How a collector keeps deviations. */
export interface CollectorOptions extends SwagOptions {
  /** The last `maxRank` of them, or the newest alone, in the last row: those before it are the caller's. Default `ring`. */
  readonly keep?: "ring" | "newest";
}

/** All that a collection needs to go on, in PyTorch's order. */
export interface SwagState {
  /** Snapshots so far. */
  readonly count: number;
  /** [P] */
  readonly mean: Float32Array;
  /** [P]: sum of squared deviations. */
  readonly squares: Float32Array;
  /** Deviations, [P] each, where the ring has them. */
  readonly rows: readonly Float32Array[];
  /** The sketch of all deviations, where one is kept. */
  readonly sketch?: SketchState;
}

/** Collects snapshots of a flat vector on the device: nothing is read back until the end. */
export class SwagCollector {
  readonly #gpu: Gpu;
  readonly #maxRank: number;
  readonly #keep: "ring" | "newest";
  readonly #varianceClamp: number;
  readonly #snapshot: GPUBuffer;
  readonly #mean: FlatVector;
  readonly #squares: FlatVector;
  /** Deviations, as they are. */
  readonly rows: RowMatrix;
  #launches: readonly Launch[] = [];
  #count = 0;

  private constructor(gpu: Gpu, theta: FlatVector, options: CollectorOptions) {
    this.#gpu = gpu;
    this.#keep = options.keep ?? "ring";
    this.#maxRank = options.maxRank ?? 20;
    this.#varianceClamp = options.varianceClamp ?? 1e-6;
    if (!Number.isInteger(this.#maxRank) || this.#maxRank < 0) {
      throw new RangeError(
        `Cannot collect SWAG: the rank is ${this.#maxRank}, but an integer of at least 0 is required`,
      );
    }
    this.#snapshot = gpu.createBuffer("swag snapshot", 8);
    this.#mean = new FlatVector(gpu, "swag mean", theta.layout);
    this.#squares = new FlatVector(gpu, "swag squares", theta.layout);
    this.rows = new RowMatrix(gpu, "swag", theta.layout, this.#maxRank);
  }

  /** A collector of snapshots of `theta`. */
  static async create(gpu: Gpu, theta: FlatVector, options: CollectorOptions = {}): Promise<SwagCollector> {
    const collector = new SwagCollector(gpu, theta, options);
    collector.#launches = await Promise.all(
      collector.rows.segments.map((segment, index) => {
        const { constants, groups } = shapeLoop({ count: segment.length / 4, width: 4 });
        const kernel = {
          label: `swag collect ${index}`,
          source: elementwise + swagCollectSource,
          constants: { ...constants, ROWS_K: collector.#maxRank },
          groups,
        };
        return prepareLaunch(gpu, kernel, [
          { buffer: collector.#snapshot, offset: 0, size: 8 },
          theta.segment(segment),
          collector.#mean.segment(segment),
          collector.#squares.segment(segment),
          collector.rows.rangeOf(index),
        ]);
      }),
    );
    return collector;
  }

  /** Number of snapshots so far. */
  get count(): number {
    return this.#count;
  }

  /** Rows of the ring that hold a deviation. */
  get #rank(): number {
    return this.#keep === "newest" ? 0 : Math.max(0, Math.min(this.#count - 1, this.#maxRank));
  }

  /** Takes a snapshot of theta as it is after all that was submitted. */
  collect(): void {
    // The first deviation is zero by construction and would count as rank that is not there.
    const place = this.#keep === "newest" ? this.#maxRank - 1 : (this.#count - 1) % this.#maxRank;
    const row = this.#count === 0 || this.#maxRank === 0 ? 0xffffffff : place;
    this.#gpu.device.queue.writeBuffer(this.#snapshot, 0, new Uint32Array([this.#count, row]));
    submitLaunches(this.#gpu, "swag collect", this.#launches);
    this.#count++;
  }

  /** Reads mean and variance. At least two snapshots are required. */
  async readMoments(): Promise<Pick<Swag, "mean" | "variance">> {
    if (this.#count < 2) {
      throw new RangeError(`Cannot estimate a covariance from ${this.#count} snapshots: at least 2 are required`);
    }
    const mean = await this.#mean.read();
    const variance = (await this.#squares.read()).map((sum) => Math.max(sum / this.#count, this.#varianceClamp));
    return { mean, variance };
  }

  /** Reads what was learned. At least two snapshots are required. */
  async read(): Promise<Swag> {
    const { mean, variance } = await this.readMoments();
    const rank = this.#rank;
    const first = rank < this.#maxRank ? 0 : (this.#count - 1) % this.#maxRank;
    const scale = 1 / Math.sqrt(Math.max(1, rank - 1));
    const covFactor: Float32Array[] = [];
    for (let age = 0; age < rank; age++) {
      covFactor.push((await this.rows.read((first + age) % this.#maxRank)).map((value) => value * scale));
    }
    return { mean, variance, covFactor };
  }

  /** Reads all that is needed to go on. Waits for the device. */
  async readState(): Promise<SwagState> {
    const rows: Float32Array[] = [];
    for (let row = 0; row < this.#rank; row++) rows.push(await this.rows.read(row));
    return { count: this.#count, mean: await this.#mean.read(), squares: await this.#squares.read(), rows };
  }

  /**
   * Goes on from what {@linkcode readState} gave, under the same options.
   *
   * @throws RangeError where the state is of another rank
   */
  writeState({ count, mean, squares, rows }: SwagState): void {
    this.#count = count;
    if (rows.length !== this.#rank) {
      throw new RangeError(
        `Cannot go on with SWAG: found ${rows.length} deviations, but ${this.#rank} are required after ${count} ` +
          `snapshots at rank ${this.#maxRank}`,
      );
    }
    this.#mean.write(mean);
    this.#squares.write(squares);
    rows.forEach((values, row) => this.rows.write(row, values));
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#gpu.destroyBuffer(this.#snapshot);
    this.#mean.destroy();
    this.#squares.destroy();
    this.rows.destroy();
  }
}
