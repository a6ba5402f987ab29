/**
 * Frequent Directions (Liberty, "Simple and deterministic matrix sketching", KDD 2013; Ghashami, Liberty, Phillips and
 * Woodruff, SIAM J. Comput. 2016) on the device: a few rows that stand for all rows of a stream.
 *
 * @module
 */

import elementwiseSource from "../../../kernels/elementwise.wgsl" with { type: "text" };
import productsSource from "../../../kernels/sketch_products.wgsl" with { type: "text" };
import rotateSource from "../../../kernels/sketch_rotate.wgsl" with { type: "text" };
import sumColumnsSource from "../../../kernels/sum_columns.wgsl" with { type: "text" };
import workgroupSumSource from "../../../kernels/workgroup_sum.wgsl" with { type: "text" };
import type { Gpu } from "../../gpu/device.ts";
import { type Launch, prepareLaunch, submitLaunches } from "../../gpu/launch.ts";
import type { RowMatrix } from "../../graph/rows.ts";
import { shapeLoop } from "../../ops/elementwise.ts";
import { symmetricEigen } from "../eigen.ts";

/** All that a sketch needs to go on. */
export interface SketchState {
  /** Orthogonal rows of [P], largest first. */
  readonly rows: readonly Float32Array[];
  /** Delta: what all shrinking took from each direction's square at most. */
  readonly shrunk: number;
}

/** Workgroups, and so partial sums, that a pass over a row aims for. */
const MOST_BLOCKS = 256;

/**
 * A sketch B of at most l rows of a stream A: B^T B is at most A^T A in every direction, and at least A^T A - Delta I.
 * For every k <= l, Delta (l + 1 - k) is at most the squared Frobenius norm of what the best rank k leaves of A. While
 * the stream's rank is at most l, the sketch is exact. It lies in the first l rows of a matrix [l + 1, P]; the last one
 * is where a new row is put.
 */
export class Sketch {
  readonly #gpu: Gpu;
  readonly #rows: RowMatrix;
  readonly #buffers: Readonly<Record<"partial" | "sums" | "coefficients", GPUBuffer>>;
  readonly #blocks: number;
  #products: readonly Launch[] = [];
  #rotate: readonly Launch[] = [];
  #count = 0;
  #shrunk = 0;

  private constructor(gpu: Gpu, rows: RowMatrix) {
    this.#gpu = gpu;
    this.#rows = rows;
    this.#blocks = rows.segments.reduce((sum, { length }) => sum + shapeOf(rows, length).blocks, 0);
    const size = rows.count - 1,
      buffer = (name: string, floats: number) => gpu.createBuffer(`sketch ${name}`, 4 * floats);
    this.#buffers = {
      partial: buffer("partial sums", this.#blocks * 2 * rows.count),
      sums: buffer("sums", 2 * rows.count),
      coefficients: buffer("coefficients", Math.max(1, size * rows.count)),
    };
  }

  /** An empty sketch. The matrix stays its owner's. */
  static async create(gpu: Gpu, rows: RowMatrix): Promise<Sketch> {
    const sketch = new Sketch(gpu, rows);
    sketch.#products = [...await sketch.#overSegments("products"), await sketch.#sum()];
    sketch.#rotate = await sketch.#overSegments("rotate");
    return sketch;
  }

  /** Rows that are in use. */
  get count(): number {
    return this.#count;
  }

  /**
   * Takes in the new row: rotates it and the sketch together to orthogonal rows, and takes the square of the one that is
   * too many from the square of each. Waits for the device.
   */
  async append(): Promise<void> {
    const size = this.#rows.count - 1, n = this.#count;
    if (size === 0) return;
    submitLaunches(this.#gpu, "sketch products", this.#products);
    const sums = new Float32Array(await this.#gpu.read(this.#buffers.sums));
    // The rows of the sketch are orthogonal: all products are those with the new one.
    const index = (k: number) => k < n ? k : size;
    const gram = Array.from({ length: n + 1 }, (_, i) =>
      Float64Array.from({ length: n + 1 }, (_, j) => {
        if (i === j) return sums[index(i)];
        return i < n && j < n ? 0 : sums[size + 1 + index(Math.min(i, j))];
      }));
    const { values, vectors } = symmetricEigen(gram);
    const shrink = values[size] ?? 0, coefficients = new Float32Array(size * (size + 1));
    let kept = 0;
    for (; kept < size && values[kept] > shrink; kept++) {
      const scale = Math.sqrt((values[kept] - shrink) / values[kept]);
      vectors.forEach((vector, k) => coefficients[kept * (size + 1) + index(k)] = scale * vector[kept]);
    }
    this.#gpu.device.queue.writeBuffer(this.#buffers.coefficients, 0, coefficients);
    submitLaunches(this.#gpu, "sketch rotation", this.#rotate);
    this.#count = kept;
    this.#shrunk += shrink;
  }

  /** Reads all that is needed to go on. Waits for the device. */
  async readState(): Promise<SketchState> {
    const rows: Float32Array[] = [];
    for (let row = 0; row < this.#count; row++) rows.push(await this.#rows.read(row));
    return { rows, shrunk: this.#shrunk };
  }

  /**
   * Goes on from what {@linkcode readState} gave.
   *
   * @throws RangeError where it has more rows than there is room for
   */
  writeState({ rows, shrunk }: SketchState): void {
    if (rows.length >= this.#rows.count) {
      throw new RangeError(
        `Cannot go on with a sketch of ${rows.length} rows: ${this.#rows.count - 1} are the most that are kept`,
      );
    }
    rows.forEach((values, row) => this.#rows.write(row, values));
    this.#count = rows.length;
    this.#shrunk = shrunk;
  }

  /** Frees the device memory but for the matrix. */
  destroy(): void {
    Object.values(this.#buffers).forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }

  #overSegments(pass: "products" | "rotate"): Promise<Launch[]> {
    const { partial, coefficients } = this.#buffers, other = pass === "products" ? partial : coefficients;
    const source = pass === "products"
      ? workgroupSumSource + elementwiseSource + productsSource
      : elementwiseSource + rotateSource;
    let blocksBefore = 0;
    return Promise.all(this.#rows.segments.map(({ length }, index) => {
      const { constants, blocks, groups: [x, y] } = shapeOf(this.#rows, length), firstBlock = blocksBefore;
      blocksBefore += blocks;
      const kernel = {
        label: `sketch ${pass} ${index}`,
        source,
        constants: { ...constants, ROWS_K: this.#rows.count - 1, BLOCKS: blocks, FIRST_BLOCK: firstBlock },
        groups: [x, y, pass === "products" ? this.#rows.count : 1] as const,
      };
      return prepareLaunch(this.#gpu, kernel, [
        this.#rows.rangeOf(index),
        { buffer: other, offset: 0, size: other.size },
      ]);
    }));
  }

  #sum(): Promise<Launch> {
    const columns = 2 * this.#rows.count, { partial, sums } = this.#buffers;
    const kernel = {
      label: "sketch sums",
      source: workgroupSumSource + sumColumnsSource,
      constants: { COLUMNS: columns, ROWS: this.#blocks },
      groups: [columns, 1, 1] as const,
    };
    return prepareLaunch(
      this.#gpu,
      kernel,
      [partial, sums].map((buffer) => ({ buffer, offset: 0, size: buffer.size })),
    );
  }
}

function shapeOf({ layout }: RowMatrix, length: number): ReturnType<typeof shapeLoop> {
  const items = Math.max(16, Math.ceil(layout.paddedCount / (4 * 64 * MOST_BLOCKS)));
  return shapeLoop({ count: length / 4, width: 4, items });
}
