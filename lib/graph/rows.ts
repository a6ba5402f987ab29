/**
 * A matrix [K, P] on the device, whose rows are flat vectors: one buffer per segment, so that any K fits the binding
 * limit.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { BufferRange } from "../gpu/launch.ts";
import { fromShards, type Segment, segmentsOf, toShards, type VectorLayout } from "./vector.ts";

/** Rows of a low-rank factor. */
export class RowMatrix {
  readonly layout: VectorLayout;
  /** Number of rows. */
  readonly count: number;
  /** Segments, each with `count` rows in one buffer. */
  readonly segments: readonly Segment[];
  readonly #gpu: Gpu;
  readonly #buffers: readonly GPUBuffer[];

  /** A zero matrix of `count` rows. */
  constructor(gpu: Gpu, label: string, layout: VectorLayout, count: number) {
    this.layout = layout;
    this.count = count;
    this.segments = segmentsOf(layout, count, gpu.maxBindingBytes);
    this.#gpu = gpu;
    this.#buffers = this.segments.map((segment, index) =>
      gpu.createBuffer(`${label} rows of ${layout.label} ${index}`, Math.max(1, count) * segment.length * 4)
    );
  }

  /** Writes a row, in PyTorch's order and layout. */
  write(row: number, values: Float32Array): void {
    const shards = toShards(this.layout, values);
    this.segments.forEach(({ shard, offset, length }, index) => {
      const part = shards[shard].subarray(offset, offset + length);
      this.#gpu.device.queue.writeBuffer(this.#buffers[index], row * length * 4, part);
    });
  }

  /** Reads a row, in PyTorch's order and layout. */
  async read(row: number): Promise<Float32Array<ArrayBuffer>> {
    const shards = this.layout.shards.map((length) => new Float32Array(length));
    for (const [index, { shard, offset, length }] of this.segments.entries()) {
      const bytes = await this.#gpu.read(this.#buffers[index], row * length * 4, length * 4);
      shards[shard].set(new Float32Array(bytes), offset);
    }
    return fromShards(this.layout, shards);
  }

  /** All rows of the segment of that index. */
  rangeOf(index: number): BufferRange {
    return { buffer: this.#buffers[index], offset: 0, size: this.#buffers[index].size };
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#buffers.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}
