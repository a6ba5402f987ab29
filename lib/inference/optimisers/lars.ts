/**
 * LARS (You et al., arXiv 1708.03888): a rate for each tensor, in proportion to the norm of its weights over that of its
 * gradient. Weight decay is part of it; momentum follows as in SGD.
 *
 * @module
 */

import controlSource from "../../../kernels/control.wgsl" with { type: "text" };
import larsSource from "../../../kernels/lars.wgsl" with { type: "text" };
import workgroupSumSource from "../../../kernels/workgroup_sum.wgsl" with { type: "text" };
import type { Control } from "../../gpu/control.ts";
import { OutOfMemoryError } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { type Launch, prepareLaunch } from "../../gpu/launch.ts";
import { type Segment, segmentsOf, type VectorEntry, type VectorLayout } from "../../graph/vector.ts";
import { foldGroups, GRID_X } from "../../ops/elementwise.ts";
import type { TrainedVector } from "./optimiser.ts";

/** Vectors of four that a workgroup takes. */
const CHUNK = 256;

/** Constants of LARS. */
export interface LarsOptions {
  /** Rate of a tensor whose gradient is as long as its weights. */
  readonly trust: number;
  /** Never more than the learning rate itself. */
  readonly clip: boolean;
  /** Tensors of one axis, biases and scales, keep the common rate and are not decayed. */
  readonly excludeVectors: boolean;
  /** Added to the gradient's norm; default 1e-8. */
  readonly eps?: number;
}

/** What the kernels know of a shard: runs of its tensors. */
interface Tables {
  /** [chunks, 3]: first vec4, number of vec4, tensor. */
  readonly chunks: Uint32Array<ArrayBuffer>;
  /** [tensors, 3]: first chunk, number of chunks, whether it is adapted. */
  readonly tensors: Uint32Array<ArrayBuffer>;
}

function tablesOf(entries: readonly VectorEntry[], excludeVectors: boolean): Tables {
  const chunks: number[] = [], tensors: number[] = [];
  entries.forEach(({ offset, size, torchShape }, tensor) => {
    const first = chunks.length / 3, end = Math.ceil((offset + size) / 4);
    for (let at = offset / 4; at < end; at += CHUNK) chunks.push(at, Math.min(CHUNK, end - at), tensor);
    tensors.push(first, chunks.length / 3 - first, excludeVectors && torchShape.length === 1 ? 0 : 1);
  });
  return { chunks: Uint32Array.from(chunks), tensors: Uint32Array.from(tensors) };
}

/** The launches that scale the gradient of one flat vector. */
export class Lars {
  readonly launches: readonly Launch[];
  readonly #gpu: Gpu;
  readonly #buffers: readonly GPUBuffer[];

  private constructor(gpu: Gpu, launches: readonly Launch[], buffers: readonly GPUBuffer[]) {
    this.#gpu = gpu;
    this.launches = launches;
    this.#buffers = buffers;
  }

  /** Builds the launches; learning rate and weight decay are those of `control`. */
  static async create(gpu: Gpu, control: Control, vector: TrainedVector, options: LarsOptions): Promise<Lars> {
    const buffers: GPUBuffer[] = [], launches: Launch[] = [];
    for (const shard of shardsOf(vector.theta.layout)) {
      const entries = vector.theta.layout.entries.filter((entry) => entry.shard === shard);
      const { chunks, tensors } = tablesOf(entries, options.excludeVectors);
      const upload = (name: string, values: Uint32Array<ArrayBuffer>) => {
        const buffer = gpu.createBuffer(`${vector.label} lars ${name} ${shard}`, values.byteLength);
        gpu.device.queue.writeBuffer(buffer, 0, values);
        return buffer;
      };
      const tables = [
        upload("chunks", chunks),
        upload("tensors", tensors),
        gpu.createBuffer(`${vector.label} lars sums ${shard}`, chunks.length / 3 * 8),
        gpu.createBuffer(`${vector.label} lars ratios ${shard}`, entries.length * 8),
      ];
      buffers.push(...tables);
      const segment = wholeShard(gpu, vector.theta.layout, shard);
      for (const phase of [0, 1, 2]) {
        const kernel = {
          label: `${vector.label} lars ${phase} ${shard}`,
          kind: `lars ${["norms", "ratios", "scale"][phase]}`,
          source: controlSource + workgroupSumSource + larsSource,
          constants: {
            PHASE: phase,
            CHUNKS: chunks.length / 3,
            TENSORS: entries.length,
            CLIP: options.clip ? 1 : 0,
            GRID_X,
          },
          floats: { TRUST: options.trust, EPS: options.eps ?? 1e-8 },
          groups: foldGroups(phase === 1 ? entries.length : chunks.length / 3),
        };
        launches.push(
          await prepareLaunch(
            gpu,
            kernel,
            [
              { buffer: control.buffer, offset: 0, size: control.buffer.size },
              vector.theta.segment(segment),
              vector.gradient.segment(segment),
              ...tables.map((buffer) => ({ buffer, offset: 0, size: buffer.size })),
            ],
          ),
        );
      }
    }
    return new Lars(gpu, launches, buffers);
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#buffers.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}

/** A shard as one segment: norms are those of whole tensors. */
function wholeShard(gpu: Gpu, layout: VectorLayout, shard: number): Segment {
  const segment = segmentsOf(layout, 1, gpu.maxBindingBytes).find((found) => found.shard === shard)!;
  if (segment.length === layout.shards[shard]) return segment;
  const { name, size } = layout.entries.find((entry) => entry.shard === shard)!;
  throw new OutOfMemoryError(
    `Cannot use LARS: ${name} has ${size * 4} bytes, and the device binds ${gpu.maxBindingBytes} at once; another ` +
      "optimiser, or a device that binds more, is required",
  );
}

/** Indices of the shards that hold anything. */
function shardsOf({ shards }: VectorLayout): number[] {
  return [...shards.keys()].filter((shard) => shards[shard] > 0);
}
