/**
 * What an objective remembers between steps, on the device.
 *
 * @module
 */

import { OutOfMemoryError } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { Launch } from "../../gpu/launch.ts";
import type { Program } from "../../graph/program.ts";
import type { Tensor } from "../../ops/operation.ts";
import { PhiloxSequence, Stream } from "../../random/philox.ts";
import { sizeOf } from "../../tensor.ts";
import { ExponentialAverage } from "../optimisers/exponential_average.ts";
import { SphericalKMeans } from "./clustering.ts";
import type { ObjectiveNetwork } from "./network.ts";
import type { MemoryUpdate } from "./objective.ts";

/** Part of the initial weights, behind those of backbone, head and statistics. */
const MEMORY = 3;

/** Normal numbers whose rows have unit length. */
function unitRows(shape: readonly number[], seed: number, index: number): Float32Array<ArrayBuffer> {
  const random = new PhiloxSequence(seed, Stream.init, MEMORY, index);
  const values = new Float32Array(sizeOf(shape)), length = shape[shape.length - 1];
  for (let start = 0; start < values.length; start += length) {
    const row = Float64Array.from({ length }, () => random.normal()), norm = Math.hypot(...row);
    row.forEach((value, i) => values[start + i] = value / norm);
  }
  return values;
}

/**
 * Refuses memories that the device cannot bind: those are not cut into parts.
 *
 * @throws OutOfMemoryError that says which, and what is too large about it
 */
export function requireBindable({ maxBindingBytes }: Pick<Gpu, "maxBindingBytes">, network: ObjectiveNetwork): void {
  for (const { name, shape } of network.memories.keys()) {
    const bytes = 4 * sizeOf(shape);
    if (bytes <= maxBindingBytes) continue;
    const [rows, width = 1] = shape;
    throw new OutOfMemoryError(
      `Cannot remember ${name}: its ${rows} rows of ${width} numbers take ${bytes} bytes, but one binding of the device ` +
        `holds ${maxBindingBytes}; fewer rows (a smaller queue, or fewer images) or narrower ones (projections) are ` +
        "required",
    );
  }
}

/** A memory that follows a tensor, and the share of it that stays. */
interface KeptAverage {
  readonly average: ExponentialAverage;
  readonly keep: number;
}

type Ring = Extract<MemoryUpdate, { kind: "ring" }>;

/** A clustering and the steps between two of it. */
interface KeptClustering {
  readonly kmeans: SphericalKMeans;
  readonly every: number;
}

/** What the memories of a network are made of. */
interface Parts {
  readonly buffers: ReadonlyMap<Tensor, GPUBuffer>;
  readonly program: Program;
  readonly averages: readonly KeptAverage[];
  readonly rings: readonly Ring[];
  readonly clusterings: readonly KeptClustering[];
  readonly seed: number;
}

/** The memories of one network and their updates. */
export class Memories {
  /** Launches behind those of a step. */
  readonly launches: readonly Launch[];
  readonly #gpu: Gpu;
  readonly #parts: Parts;

  private constructor(gpu: Gpu, parts: Parts) {
    const { averages } = parts;
    this.#gpu = gpu;
    this.#parts = parts;
    this.launches = averages.flatMap(({ average }) => average.launches);
    for (const { average, keep } of averages) average.prepare(keep);
  }

  /** Makes and fills the buffers of a network's memories, which its program binds. The caller frees them. */
  static createBuffers(gpu: Gpu, { memories }: ObjectiveNetwork, seed: number): Map<Tensor, GPUBuffer> {
    return new Map([...memories].map(([tensor, initial], index) => {
      const buffer = gpu.createBuffer(tensor.name, sizeOf(tensor.shape) * 4);
      if (initial === "unit rows") gpu.device.queue.writeBuffer(buffer, 0, unitRows(tensor.shape, seed, index));
      return [tensor, buffer];
    }));
  }

  /** Builds the updates; `program` is the network's, which keeps what they read. */
  static async create(
    gpu: Gpu,
    { memories, updates, clusterings }: ObjectiveNetwork,
    program: Program,
    externals: ReadonlyMap<Tensor, GPUBuffer>,
    seed: number,
  ): Promise<Memories> {
    const buffers = new Map([...memories.keys()].map((tensor) => [tensor, externals.get(tensor)!]));
    const kindOf = <K extends MemoryUpdate["kind"]>(kind: K) =>
      updates.filter((update): update is Extract<MemoryUpdate, { kind: K }> => update.kind === kind);
    const averages = await Promise.all(
      kindOf("average").map(async ({ memory, from, keep }) => {
        const buffer = buffers.get(memory)!;
        const range = { average: { buffer, offset: 0, size: buffer.size }, value: program.rangeOf(from) };
        return { average: await ExponentialAverage.create(gpu, `average of ${memory.name}`, [range]), keep };
      }),
    );
    const rings = kindOf("ring");
    const kept = await Promise.all(clusterings.map(async (clustering) => ({
      kmeans: await SphericalKMeans.create(gpu, clustering, buffers),
      every: clustering.rows.shape[0] / rings.find(({ memory }) => memory === clustering.rows)!.from.shape[0],
    })));
    return new Memories(gpu, { buffers, program, averages, rings, clusterings: kept, seed });
  }

  /** Clusters the rings that the step made full. */
  submitClusterings(step: number): void {
    const { clusterings, seed } = this.#parts;
    clusterings.forEach(({ kmeans, every }, index) => {
      if ((step + 1) % every === 0) kmeans.submit({ seed, step, index });
    });
  }

  /** Puts the step's rows into the rings, over the oldest; behind everything that reads them. */
  encodeRings(encoder: GPUCommandEncoder, step: number): void {
    const { rings, program, buffers } = this.#parts;
    for (const { memory, from } of rings) {
      const [size, width] = memory.shape, row = width * 4;
      const { buffer, offset } = program.rangeOf(from);
      // Of more rows than there is room for, the last ones stay.
      const skipped = Math.max(0, from.shape[0] - size), count = from.shape[0] - skipped;
      const first = (step * from.shape[0] + skipped) % size, before = Math.min(count, size - first);
      const target = buffers.get(memory)!, start = offset + skipped * row;
      encoder.copyBufferToBuffer(buffer, start, target, first * row, before * row);
      if (before < count) encoder.copyBufferToBuffer(buffer, start + before * row, target, 0, (count - before) * row);
    }
  }

  /** Reads all memories by name. Waits for the device. */
  async read(): Promise<Record<string, Float32Array>> {
    const found: Record<string, Float32Array> = {};
    for (const [{ name }, buffer] of this.#parts.buffers) found[name] = new Float32Array(await this.#gpu.read(buffer));
    return found;
  }

  /** Writes what {@linkcode read} gave. */
  write(values: Readonly<Record<string, Float32Array>>): void {
    for (const [{ name }, buffer] of this.#parts.buffers) {
      this.#gpu.device.queue.writeBuffer(buffer, 0, Float32Array.from(values[name]));
    }
  }

  /** Frees what the updates need; the buffers stay. */
  destroy(): void {
    const { averages, clusterings } = this.#parts;
    averages.forEach(({ average }) => average.destroy());
    clusterings.forEach(({ kmeans }) => kmeans.destroy());
  }
}
