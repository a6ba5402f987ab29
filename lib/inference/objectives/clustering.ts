/**
 * k-means on the sphere, on the device: the clusters of remembered projections.
 *
 * @module
 */

import assignSource from "../../../kernels/cluster_assign.wgsl" with { type: "text" };
import centreSource from "../../../kernels/cluster_centres.wgsl" with { type: "text" };
import type { Gpu } from "../../gpu/device.ts";
import { encodeLaunches, type KernelLaunch, type Launch, prepareLaunch } from "../../gpu/launch.ts";
import { loop, widthOf } from "../../ops/elementwise.ts";
import { gather } from "../../ops/gather.ts";
import { scratch, targetOf, type Tensor } from "../../ops/operation.ts";
import { overRows } from "../../ops/rows.ts";
import { PhiloxSequence, Stream } from "../../random/philox.ts";
import type { Clustering } from "./objective.ts";

/** The clustering of one ring of projections. */
export class SphericalKMeans {
  readonly #gpu: Gpu;
  readonly #clustering: Clustering;
  readonly #first: GPUBuffer;
  readonly #launches: readonly Launch[];

  private constructor(gpu: Gpu, clustering: Clustering, first: GPUBuffer, launches: readonly Launch[]) {
    this.#gpu = gpu;
    this.#clustering = clustering;
    this.#first = first;
    this.#launches = launches;
  }

  /** Builds the launches over the buffers of rows, prototypes and labels. */
  static async create(
    gpu: Gpu,
    clustering: Clustering,
    buffers: ReadonlyMap<Tensor, GPUBuffer>,
  ): Promise<SphericalKMeans> {
    const { rows, prototypes, labels, iterations } = clustering, { name } = prototypes;
    const target = targetOf(gpu, { training: true });
    const [count, length] = rows.shape, [clusters] = prototypes.shape, indices = scratch("first rows", [clusters]);
    const first = gpu.createBuffer(`first rows of ${name}`, clusters * 4);
    const bound = new Map([...buffers, [indices, first]]);
    const prepare = (kernel: KernelLaunch, bindings: readonly Tensor[]) =>
      prepareLaunch(
        gpu,
        kernel,
        bindings.map((tensor) => bound.get(tensor)!).map((buffer) => ({ buffer, offset: 0, size: buffer.size })),
      );
    const [begin] = gather(`first ${name}`, rows, 0, { indices }).forward(target);
    const width = widthOf(length);
    const assign = loop({
      label: `clusters of ${name}`,
      source: assignSource,
      count,
      width,
      items: 1,
      constants: { LENGTH: length / width, CLUSTERS: clusters },
      bindings: [rows, prototypes, labels],
    });
    const move = overRows(target, {
      label: `centres of ${name}`,
      source: centreSource,
      rows: clusters,
      length,
      constants: { MEMBERS: count },
      floats: { EPS: 1e-12 },
      bindings: [rows, labels, prototypes],
    });
    const assigned = await prepare(assign, assign.bindings), moved = await prepare(move, move.bindings);
    const launches = [
      // The gathered rows are the first prototypes.
      await prepare(begin, [indices, rows, prototypes]),
      ...Array.from({ length: iterations }, () => [assigned, moved]).flat(),
      assigned,
    ];
    return new SphericalKMeans(gpu, clustering, first, launches);
  }

  /** Makes prototypes and labels anew, from rows drawn by seed and step; behind everything that reads them. */
  encode(encoder: GPUCommandEncoder, { seed, step, index }: Readonly<Record<"seed" | "step" | "index", number>>): void {
    const { rows, prototypes } = this.#clustering;
    const order = new PhiloxSequence(seed, Stream.clusters, step, index)
      .shuffle(Uint32Array.from({ length: rows.shape[0] }, (_, row) => row));
    this.#gpu.device.queue.writeBuffer(this.#first, 0, order, 0, prototypes.shape[0]);
    const pass = encoder.beginComputePass({ label: "clustering" });
    encodeLaunches(pass, this.#launches);
    pass.end();
  }

  /** Frees what belongs to no memory. */
  destroy(): void {
    this.#gpu.destroyBuffer(this.#first);
  }
}
