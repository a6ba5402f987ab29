/**
 * Clipping gradients by their global norm, as `torch.nn.utils.clip_grad_norm_`. It biases a sampler: off unless asked for.
 *
 * @module
 */

import elementwiseSource from "../../kernels/elementwise.wgsl" with { type: "text" };
import normSource from "../../kernels/gradient_norm.wgsl" with { type: "text" };
import sumColumnsSource from "../../kernels/sum_columns.wgsl" with { type: "text" };
import workgroupSumSource from "../../kernels/workgroup_sum.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import { type BufferRange, type Launch, prepareLaunch } from "../gpu/launch.ts";
import type { FlatVector } from "../graph/vector.ts";
import { partsOf } from "./segments.ts";

/** The launches that scale gradients such that their joint norm is at most a bound. */
export class GradientClip {
  /** To be encoded between the gradients and the updates. */
  readonly launches: readonly Launch[];
  readonly #gpu: Gpu;
  readonly #buffers: readonly GPUBuffer[];

  private constructor(gpu: Gpu, launches: readonly Launch[], buffers: readonly GPUBuffer[]) {
    this.#gpu = gpu;
    this.launches = launches;
    this.#buffers = buffers;
  }

  /** Builds the launches for gradients that are clipped together. */
  static async create(gpu: Gpu, gradients: readonly FlatVector[], clipNorm: number): Promise<GradientClip> {
    if (!(clipNorm > 0)) {
      throw new RangeError(`Cannot clip gradients: the norm is ${clipNorm}, but a positive number is required`);
    }
    const { parts, blocks } = partsOf(gpu, gradients);
    const partial = gpu.createBuffer("squares of gradients", blocks * 4), total = gpu.createBuffer("squared norm", 4);
    const whole = (buffer: GPUBuffer): BufferRange => ({ buffer, offset: 0, size: buffer.size });
    const pass = (scale: 0 | 1) =>
      parts.map(({ range, shape, firstBlock }) =>
        prepareLaunch(gpu, {
          label: scale ? "scale gradient" : "squares of gradient",
          source: workgroupSumSource + elementwiseSource + normSource,
          constants: { ...shape.constants, SCALE: scale, FIRST_BLOCK: firstBlock, BLOCKS: shape.blocks },
          floats: { CLIP_NORM: clipNorm },
          groups: shape.groups,
        }, [range, whole(scale ? total : partial)])
      );
    const sum = prepareLaunch(gpu, {
      label: "squared norm",
      source: workgroupSumSource + sumColumnsSource,
      constants: { COLUMNS: 1, ROWS: blocks },
      groups: [1, 1, 1],
    }, [whole(partial), whole(total)]);
    return new GradientClip(gpu, await Promise.all([...pass(0), sum, ...pass(1)]), [partial, total]);
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#buffers.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}
