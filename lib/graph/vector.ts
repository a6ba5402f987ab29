/**
 * Flat vectors: all parameters of a kind (or gradients, velocities, means, ...) in one vector in PyTorch's order.
 *
 * On the device a vector lies in shards, cut between tensors and no larger than a binding may be, except where one tensor
 * is: that is bound in parts. Each tensor starts on a 256-byte boundary, so that kernels bind it by offset, and has the
 * layout that the kernels like. Files and callers see neither: `write` and `read` speak PyTorch's order and layout, without padding.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { BufferRange } from "../gpu/launch.ts";
import { BINDING_ALIGNMENT as ALIGNMENT, type Parameter, type ParameterLayout } from "../ops/operation.ts";
import { sizeOf } from "../tensor.ts";

/** One tensor of a flat vector. */
export interface VectorEntry {
  /** Key in PyTorch's state dictionary. */
  readonly name: string;
  /** Sizes in PyTorch's order: [O, I, KH, KW], [O, I] or [C]. */
  readonly torchShape: readonly number[];
  /** How its elements are permuted on the device. */
  readonly layout: ParameterLayout;
  /** Elements. */
  readonly size: number;
  /** First element in PyTorch's flat order. */
  readonly torchOffset: number;
  /** Index of the shard that holds it. */
  readonly shard: number;
  /** First element within the shard. */
  readonly offset: number;
}

/** A run of elements of one shard; the flat kernels work on one at a time. */
export interface Segment {
  /** Index of the shard that it is cut from. */
  readonly shard: number;
  /** First element within the shard. */
  readonly offset: number;
  /** Elements, padding included; a multiple of 64. */
  readonly length: number;
  /** First element within the whole padded vector: the counter of random numbers. */
  readonly globalOffset: number;
}

/** Where each tensor of a flat vector lies. */
export interface VectorLayout {
  /** Name in buffer labels and errors, such as `backbone`. */
  readonly label: string;
  /** Tensors in PyTorch's order. */
  readonly entries: readonly VectorEntry[];
  /** Elements of each shard, padding included. */
  readonly shards: readonly number[];
  /** Elements without padding: P. */
  readonly count: number;
  /** Elements with padding. */
  readonly paddedCount: number;
}

/** Lays parameters out in shards of at most `maxShardBytes`; a larger tensor has one of its own. */
export function layoutVector(label: string, parameters: readonly Parameter[], maxShardBytes: number): VectorLayout {
  const entries: VectorEntry[] = [];
  const shards: number[] = [0];
  let torchOffset = 0;
  for (const { name, torchShape, layout } of parameters) {
    const size = sizeOf(torchShape);
    const padded = Math.ceil(size / ALIGNMENT) * ALIGNMENT;
    const last = shards[shards.length - 1];
    if (last > 0 && (last + padded) * 4 > maxShardBytes) shards.push(0);
    const shard = shards.length - 1;
    entries.push({ name, torchShape, layout, size, torchOffset, shard, offset: shards[shard] });
    shards[shard] += padded;
    torchOffset += size;
  }
  return { label, entries, shards, count: torchOffset, paddedCount: shards.reduce((a, b) => a + b, 0) };
}

/**
 * Cuts a vector into segments such that `rows` rows of a segment fit into one binding.
 *
 * @param rows rows of a matrix [rows, P] that are bound together; 1 for a plain vector
 */
export function segmentsOf(layout: VectorLayout, rows: number, maxBindingBytes: number): Segment[] {
  const longest = Math.max(ALIGNMENT, Math.floor(maxBindingBytes / (4 * Math.max(1, rows)) / ALIGNMENT) * ALIGNMENT);
  const segments: Segment[] = [];
  let globalOffset = 0;
  layout.shards.forEach((length, shard) => {
    for (let offset = 0; offset < length; offset += longest) {
      const size = Math.min(longest, length - offset);
      segments.push({ shard, offset, length: size, globalOffset });
      globalOffset += size;
    }
  });
  return segments;
}

/** Reorders one tensor between PyTorch's layout and the device's. */
function permute(entry: VectorEntry, from: Float32Array, to: Float32Array, toDevice: boolean): void {
  if (entry.layout === "vector") {
    to.set(from);
    return;
  }
  // A convolution is [O, I, KH, KW] in PyTorch and [KH, KW, I, O] here; a linear layer is [O, I] and [I, O].
  const [outer, inner, kh = 1, kw = 1] = entry.torchShape;
  const taps = kh * kw;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      for (let tap = 0; tap < taps; tap++) {
        const torch = (o * inner + i) * taps + tap, device = (tap * inner + i) * outer + o;
        if (toDevice) to[device] = from[torch];
        else to[torch] = from[device];
      }
    }
  }
}

/** Converts a vector from PyTorch's order to the shards', filling what lies between tensors with `padding`. */
export function toShards(layout: VectorLayout, values: Float32Array, padding = 0): Float32Array<ArrayBuffer>[] {
  if (values.length !== layout.count) {
    throw new RangeError(`Cannot write ${values.length} values to ${layout.label}: ${layout.count} are required`);
  }
  const shards = layout.shards.map((length) => new Float32Array(length).fill(padding));
  for (const entry of layout.entries) {
    const from = values.subarray(entry.torchOffset, entry.torchOffset + entry.size);
    permute(entry, from, shards[entry.shard].subarray(entry.offset, entry.offset + entry.size), true);
  }
  return shards;
}

/** Inverse of {@linkcode toShards}. */
export function fromShards(layout: VectorLayout, shards: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const values = new Float32Array(layout.count);
  for (const entry of layout.entries) {
    const to = values.subarray(entry.torchOffset, entry.torchOffset + entry.size);
    permute(entry, shards[entry.shard].subarray(entry.offset, entry.offset + entry.size), to, false);
  }
  return values;
}

/** A flat vector on the device. */
export class FlatVector {
  /** Where each tensor lies; vectors of one layout can be copied to each other. */
  readonly layout: VectorLayout;
  readonly #gpu: Gpu;
  readonly #shards: readonly GPUBuffer[];

  /** A zero vector. */
  constructor(gpu: Gpu, label: string, layout: VectorLayout) {
    this.layout = layout;
    this.#gpu = gpu;
    this.#shards = layout.shards.map((length, shard) =>
      gpu.createBuffer(`${label} ${layout.label} ${shard}`, length * 4)
    );
  }

  /** Writes all elements, in PyTorch's order and layout; `padding` goes between tensors. */
  write(values: Float32Array, padding = 0): void {
    toShards(this.layout, values, padding).forEach((shard, index) => {
      // Deno 2.9 panics on a write of nothing.
      if (shard.length > 0) this.#gpu.device.queue.writeBuffer(this.#shards[index], 0, shard);
    });
  }

  /** Reads all elements, in PyTorch's order and layout. */
  async read(): Promise<Float32Array<ArrayBuffer>> {
    const shards: Float32Array[] = [];
    for (const buffer of this.#shards) shards.push(new Float32Array(await this.#gpu.read(buffer)));
    return fromShards(this.layout, shards);
  }

  /** Sets all elements to zero. */
  clear(): void {
    const encoder = this.#gpu.device.createCommandEncoder({ label: `clear ${this.layout.label}` });
    for (const buffer of this.#shards) encoder.clearBuffer(buffer);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  /** Copies another vector of the same layout. */
  copyFrom(other: FlatVector): void {
    const encoder = this.#gpu.device.createCommandEncoder({ label: `copy ${this.layout.label}` });
    this.#shards.forEach((buffer, index) =>
      encoder.copyBufferToBuffer(other.#shards[index], 0, buffer, 0, buffer.size)
    );
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  /** The bytes of one tensor. */
  rangeOf(name: string): BufferRange {
    const entry = this.layout.entries.find((candidate) => candidate.name === name);
    if (entry === undefined) throw new RangeError(`Cannot bind ${name}: ${this.layout.label} has no such tensor`);
    return { buffer: this.#shards[entry.shard], offset: entry.offset * 4, size: entry.size * 4 };
  }

  /** The bytes of one segment. */
  segment(segment: Segment): BufferRange {
    return { buffer: this.#shards[segment.shard], offset: segment.offset * 4, size: segment.length * 4 };
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#shards.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}
