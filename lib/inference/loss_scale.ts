/**
 * The dynamic loss scale of mixed precision, all of it on the device. The loss's gradient is multiplied by the scale, so
 * that gradients of activations do not vanish in f16, and the parameters' gradients are divided by it again, in f32. A
 * step whose gradients are not all finite is skipped: weights, sampler state and running statistics stay, and the scale
 * halves; after many steps without one it doubles.
 *
 * @module
 */

import addSource from "../../kernels/add.wgsl" with { type: "text" };
import elementwiseSource from "../../kernels/elementwise.wgsl" with { type: "text" };
import restoreSource from "../../kernels/restore.wgsl" with { type: "text" };
import unscaleSource from "../../kernels/unscale_gradient.wgsl" with { type: "text" };
import updateSource from "../../kernels/update_loss_scale.wgsl" with { type: "text" };
import workgroupSumSource from "../../kernels/workgroup_sum.wgsl" with { type: "text" };
import { type Gpu, STORAGE } from "../gpu/device.ts";
import { type BufferRange, type Launch, prepareLaunch } from "../gpu/launch.ts";
import { FlatVector, segmentsOf } from "../graph/vector.ts";
import { shapeLoop } from "../ops/elementwise.ts";
import { partsOf } from "./segments.ts";

/** How the loss scale moves. */
export interface LossScaleOptions {
  /** Scale of the first step, a power of two of at least 1; default 65536. */
  readonly initial?: number;
  /** Steps without an overflow after which the scale doubles; default 2000. */
  readonly growthInterval?: number;
}

/** Gradients of float32 may grow by that much without harm. */
const LARGEST_SCALE = 2 ** 24;

/** What a loss scale guards. */
export interface Guarded {
  /** Gradients of the scaled loss. */
  readonly gradients: readonly FlatVector[];
  /** Running statistics, which the forward pass moves. */
  readonly statistics: FlatVector;
  /** Launches that a skipped step leaves out. */
  readonly updates: readonly Launch[];
}

function whole(buffer: GPUBuffer): BufferRange {
  return { buffer, offset: 0, size: buffer.size };
}

/** The launches of a loss scale, and its state. */
export class LossScale {
  /** To be encoded before the forward pass. */
  readonly before: readonly Launch[];
  /** To be encoded between the gradients and the update. */
  readonly after: readonly Launch[];
  /** The state: scale, steps made since it changed, steps skipped so far, whether the last one was. */
  readonly buffer: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #saved: FlatVector;
  readonly #buffers: readonly GPUBuffer[];
  readonly #guarded: ReadonlyMap<Launch, Launch>;

  private constructor(
    gpu: Gpu,
    buffer: GPUBuffer,
    parts: {
      readonly before: readonly Launch[];
      readonly after: readonly Launch[];
      readonly saved: FlatVector;
      readonly buffers: readonly GPUBuffer[];
      readonly guarded: ReadonlyMap<Launch, Launch>;
    },
  ) {
    this.#gpu = gpu;
    this.buffer = buffer;
    this.before = parts.before;
    this.after = parts.after;
    this.#saved = parts.saved;
    this.#buffers = parts.buffers;
    this.#guarded = parts.guarded;
  }

  /**
   * Builds the launches.
   *
   * @param buffer of the state, by which the graph multiplies the loss's gradient; its owner frees it
   */
  static async create(
    gpu: Gpu,
    buffer: GPUBuffer,
    { gradients, statistics, updates }: Guarded,
    { initial = 65536, growthInterval = 2000 }: LossScaleOptions = {},
  ): Promise<LossScale> {
    if (!(initial >= 1 && initial <= LARGEST_SCALE && Number.isInteger(Math.log2(initial)))) {
      throw new RangeError(
        `Cannot scale the loss by ${initial}: a power of two from 1 to ${LARGEST_SCALE} is required`,
      );
    }
    if (!(growthInterval >= 1 && Number.isInteger(growthInterval))) {
      throw new RangeError(
        `Cannot double the loss scale after ${growthInterval} steps: an integer of at least 1 is required`,
      );
    }
    const saved = new FlatVector(gpu, "saved", statistics.layout);
    const unscale = await unscaleLaunches(gpu, buffer, gradients);
    const sizes = gpu.createBuffer("workgroups of the update", updates.length * 12);
    const launched = gpu.createBuffer("workgroups launched", updates.length * 12, STORAGE | GPUBufferUsage.INDIRECT);
    gpu.device.queue.writeBuffer(sizes, 0, Uint32Array.from(updates.flatMap(({ groups }) => groups)));
    const update = await prepareLaunch(gpu, {
      label: "update loss scale",
      source: workgroupSumSource + updateSource,
      constants: { BLOCKS: unscale.blocks, LAUNCHES: updates.length, GROWTH_INTERVAL: growthInterval },
      floats: { LARGEST: LARGEST_SCALE },
      groups: [1, 1, 1],
    }, [buffer, unscale.counts, sizes, launched].map(whole));
    const scale = new LossScale(gpu, buffer, {
      before: await overSegments(gpu, "save statistics", addSource, { COPY: 1, ACCUMULATE: 0 }, [statistics, saved]),
      after: [
        ...unscale.launches,
        update,
        ...await overSegments(gpu, "restore statistics", restoreSource, {}, [saved, statistics], [whole(buffer)]),
      ],
      saved,
      buffers: [unscale.counts, sizes, launched],
      guarded: new Map(
        updates.map((launch, i) => [launch, { ...launch, indirect: { buffer: launched, offset: 12 * i } }]),
      ),
    });
    scale.write(Float32Array.of(initial, 0, 0, 0));
    return scale;
  }

  /** The launches, of which a skipped step leaves those out that are guarded. */
  guard(launches: readonly Launch[]): Launch[] {
    return launches.map((launch) => this.#guarded.get(launch) ?? launch);
  }

  /** Writes the state. */
  write(state: Float32Array): void {
    this.#gpu.device.queue.writeBuffer(this.buffer, 0, state.slice());
  }

  /** Reads the state. Waits for the device. */
  async read(): Promise<Float32Array> {
    return new Float32Array(await this.#gpu.read(this.buffer));
  }

  /** Frees the device memory, but for the state's. */
  destroy(): void {
    this.#saved.destroy();
    this.#buffers.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}

/** A loop kernel over each segment of vectors of one layout. */
function overSegments(
  gpu: Gpu,
  label: string,
  source: string,
  constants: Readonly<Record<string, number>>,
  vectors: readonly FlatVector[],
  shared: readonly BufferRange[] = [],
): Promise<Launch[]> {
  return Promise.all(
    segmentsOf(vectors[0].layout, 1, gpu.maxBindingBytes).map((segment, index) => {
      const shape = shapeLoop({ count: segment.length / 4, width: 4 });
      const kernel = {
        label: `${label} ${index}`,
        source: elementwiseSource + source,
        constants: { ...shape.constants, ...constants },
        groups: shape.groups,
      };
      return prepareLaunch(gpu, kernel, [...shared, ...vectors.map((vector) => vector.segment(segment))]);
    }),
  );
}

/** Launches that divide gradients by the scale and count what is not finite, a number for each workgroup. */
async function unscaleLaunches(
  gpu: Gpu,
  scale: GPUBuffer,
  gradients: readonly FlatVector[],
): Promise<{ readonly launches: readonly Launch[]; readonly counts: GPUBuffer; readonly blocks: number }> {
  const { parts, blocks } = partsOf(gpu, gradients);
  const counts = gpu.createBuffer("counts of numbers that are not finite", blocks * 4);
  const launches = await Promise.all(parts.map(({ range, shape, firstBlock }, index) =>
    prepareLaunch(gpu, {
      label: `unscale gradient ${index}`,
      source: workgroupSumSource + elementwiseSource + unscaleSource,
      constants: { ...shape.constants, FIRST_BLOCK: firstBlock, BLOCKS: shape.blocks },
      groups: shape.groups,
    }, [whole(scale), range, whole(counts)])
  ));
  return { launches, counts, blocks };
}
