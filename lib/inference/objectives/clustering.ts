/**
 * k-means on the sphere, on the device: the clusters of remembered projections. The work is cut into submissions that are
 * over soon: the watchdog of a system ends what holds its GPU for seconds.
 *
 * @module
 */

import assignSource from "../../../kernels/cluster_assign.wgsl" with { type: "text" };
import centreSource from "../../../kernels/cluster_centres.wgsl" with { type: "text" };
import type { Gpu } from "../../gpu/device.ts";
import { type BufferRange, type KernelLaunch, type Launch, prepareLaunch, submitLaunches } from "../../gpu/launch.ts";
import { loop, widthOf } from "../../ops/elementwise.ts";
import { gather } from "../../ops/gather.ts";
import { scratch, targetOf, type Tensor } from "../../ops/operation.ts";
import { overRows } from "../../ops/rows.ts";
import { PhiloxSequence, Stream } from "../../random/philox.ts";
import type { Clustering } from "./objective.ts";

/** Multiplications of a launch at most, or loads in their place: some milliseconds of a slow GPU. */
const LAUNCH_WORK = 2 ** 30;
/** Launches of a submission at most. */
const SUBMITTED_LAUNCHES = 8;
/** What WebGPU wants offsets of bindings to be multiples of, in bytes. */
const ALIGNMENT = 256;
/** Rows of one number that fill that, and so whole multiples of it where they have more. */
const ALIGNED_ROWS = ALIGNMENT / 4;

/** Neighbouring rows, or clusters. */
interface Chunk {
  readonly first: number;
  readonly count: number;
}

/** Cuts `total` into parts of at most `most`, but for what alignment wants: each begins at a multiple of `aligned`. */
function chunksOf(total: number, most: number, aligned: number): Chunk[] {
  const size = Math.max(1, Math.floor(most / aligned)) * aligned;
  return Array.from({ length: Math.ceil(total / size) }, (_, index) => ({
    first: index * size,
    count: Math.min(size, total - index * size),
  }));
}

/** How much a launch may do; smaller in tests. */
export interface ClusteringLimits {
  readonly launchWork?: number;
}

/** The clustering of one ring of projections. */
export class SphericalKMeans {
  /** In order; the first ones find the first prototypes. */
  readonly launches: readonly Launch[];
  readonly #gpu: Gpu;
  readonly #clustering: Clustering;
  readonly #first: GPUBuffer;
  readonly #chunks: GPUBuffer;

  private constructor(
    gpu: Gpu,
    clustering: Clustering,
    buffers: { first: GPUBuffer; chunks: GPUBuffer },
    launches: readonly Launch[],
  ) {
    this.#gpu = gpu;
    this.#clustering = clustering;
    this.#first = buffers.first;
    this.#chunks = buffers.chunks;
    this.launches = launches;
  }

  /** Builds the launches over the buffers of rows, prototypes and labels. */
  static async create(
    gpu: Gpu,
    clustering: Clustering,
    buffers: ReadonlyMap<Tensor, GPUBuffer>,
    { launchWork = LAUNCH_WORK }: ClusteringLimits = {},
  ): Promise<SphericalKMeans> {
    const { rows, prototypes, labels, iterations } = clustering, { name } = prototypes;
    const [count, length] = rows.shape, [clusters] = prototypes.shape, indices = scratch("first rows", [clusters]);
    const first = gpu.createBuffer(`first rows of ${name}`, clusters * 4);
    const bound = new Map([...buffers, [indices, first]]);
    const rangeOf = (tensor: Tensor, { first, count }: Chunk = { first: 0, count: tensor.shape[0] }): BufferRange => {
      const bytes = 4 * tensor.shape.slice(1).reduce((product, size) => product * size, 1);
      return { buffer: bound.get(tensor)!, offset: first * bytes, size: count * bytes };
    };
    const [begin] = gather(`first ${name}`, rows, 0, { indices }).forward(targetOf(gpu, { training: true }));
    const begun = await prepareLaunch(gpu, begin, [rangeOf(indices), rangeOf(rows), rangeOf(prototypes)]);
    // One after another: a kernel is built once for all launches of it.
    const assigned: Launch[] = [], moved: Launch[] = [];
    for (const chunk of chunksOf(count, launchWork / (clusters * length), ALIGNED_ROWS)) {
      const bindings = [rangeOf(rows, chunk), rangeOf(prototypes), rangeOf(labels, chunk)];
      assigned.push(await prepareLaunch(gpu, assignment(clustering, chunk.count), bindings));
    }
    // Every cluster looks through all rows.
    const aligned = length % ALIGNED_ROWS === 0 ? 1 : ALIGNED_ROWS;
    const parts = chunksOf(clusters, launchWork / (count * length), aligned);
    const chunks = gpu.createBuffer(`clusters of ${name}`, parts.length * ALIGNMENT);
    for (const [index, chunk] of parts.entries()) {
      gpu.device.queue.writeBuffer(chunks, index * ALIGNMENT, Uint32Array.of(chunk.first));
      const bindings = [rangeOf(rows), rangeOf(labels), rangeOf(prototypes, chunk)];
      const number = { buffer: chunks, offset: index * ALIGNMENT, size: 4 };
      moved.push(await prepareLaunch(gpu, movement(gpu, clustering, chunk.count), [...bindings, number]));
    }
    const launches = [
      // The gathered rows are the first prototypes.
      begun,
      ...Array.from({ length: iterations }, () => [...assigned, ...moved]).flat(),
      ...assigned,
    ];
    return new SphericalKMeans(gpu, clustering, { first, chunks }, launches);
  }

  /** Makes prototypes and labels anew, from rows drawn by seed and step, behind all that was submitted. */
  submit({ seed, step, index }: Readonly<Record<"seed" | "step" | "index", number>>): void {
    const { rows, prototypes } = this.#clustering;
    const order = new PhiloxSequence(seed, Stream.clusters, step, index)
      .shuffle(Uint32Array.from({ length: rows.shape[0] }, (_, row) => row));
    this.#gpu.device.queue.writeBuffer(this.#first, 0, order, 0, prototypes.shape[0]);
    for (let at = 0; at < this.launches.length; at += SUBMITTED_LAUNCHES) {
      submitLaunches(this.#gpu, "clustering", this.launches.slice(at, at + SUBMITTED_LAUNCHES));
    }
  }

  /** Frees what belongs to no memory. */
  destroy(): void {
    [this.#first, this.#chunks].forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}

/** The labels of `count` rows. */
function assignment({ rows, prototypes, labels }: Clustering, count: number): KernelLaunch {
  const [clusters, length] = prototypes.shape, width = widthOf(length);
  return loop({
    label: `clusters of ${prototypes.name}`,
    source: assignSource,
    count,
    width,
    items: 1,
    constants: { LENGTH: length / width, CLUSTERS: clusters },
    bindings: [rows, prototypes, labels],
  });
}

/** The prototypes of `count` clusters. */
function movement(gpu: Gpu, { rows, prototypes, labels }: Clustering, count: number): KernelLaunch {
  return overRows(targetOf(gpu, { training: true }), {
    label: `centres of ${prototypes.name}`,
    source: centreSource,
    rows: count,
    length: prototypes.shape[1],
    constants: { MEMBERS: rows.shape[0] },
    floats: { EPS: 1e-12 },
    bindings: [rows, labels, prototypes],
  });
}
