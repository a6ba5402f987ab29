/**
 * Kernel launches with their pipeline and bindings, made once and encoded often.
 *
 * @module
 */

import { packBindings } from "../../kernels/half.ts";
import { type Constants, expand } from "../../kernels/template.ts";
import { OutOfMemoryError } from "../errors.ts";
import type { Gpu } from "./device.ts";

/** A kernel and its launch shape. */
export interface KernelLaunch {
  readonly label: string;
  /** What launches of one kind share; default: the label without a number at its end. */
  readonly kind?: string;
  /** Additions and multiplications; absent where nobody counted them. */
  readonly flops?: number;
  /** Kernel text with directives, see `kernels/template.ts`. */
  readonly source: string;
  readonly entryPoint?: string;
  readonly constants: Constants;
  readonly floats?: Constants;
  /** Bindings that hold f16, two to a word: see `kernels/half.ts`. */
  readonly packed?: readonly number[];
  readonly groups: readonly [number, number, number];
}

/** A range of a buffer, in bytes. */
export interface BufferRange {
  /** Holds the range; the range does not own it. */
  readonly buffer: GPUBuffer;
  /** First byte; a multiple of 256 where a kernel binds it. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** A launch ready to be encoded. */
export interface Launch {
  /** Which launch it is, as `layer1.0.conv1 weight gradient`. */
  readonly label: string;
  /** What launches of one kind share, as `conv2d weight gradient`. */
  readonly kind: string;
  /** Additions and multiplications; absent where nobody counted them. */
  readonly flops?: number;
  /** Bytes of all bindings: what a launch moves that touches each once. */
  readonly bytes: number;
  /** The compiled kernel. */
  readonly pipeline: GPUComputePipeline;
  /** Its buffers. */
  readonly bindGroup: GPUBindGroup;
  /** Workgroups along x, y and z. */
  readonly groups: readonly [number, number, number];
  /** Where the device finds the workgroups instead: it may have set them to 0. */
  readonly indirect?: { readonly buffer: GPUBuffer; readonly offset: number };
}

/** Builds the pipeline (once per text) and the bind group of a launch. */
export async function prepareLaunch(gpu: Gpu, kernel: KernelLaunch, bindings: readonly BufferRange[]): Promise<Launch> {
  const { label, groups, flops, kind = label.replace(/ \d+$/, "") } = kernel;
  for (const { buffer, size } of bindings) {
    if (size > gpu.maxBindingBytes) {
      throw new OutOfMemoryError(
        `Cannot bind ${size} bytes of ${buffer.label} for ${label}: the device's limit is ` +
          `${gpu.maxBindingBytes} bytes; use a smaller batch`,
      );
    }
  }
  const text = expand(kernel.source, kernel.constants, kernel.floats);
  const code = kernel.packed?.length ? packBindings(text, kernel.packed) : text;
  const pipeline = await gpu.pipeline(label, code, bindings.length, kernel.entryPoint);
  const bindGroup = gpu.device.createBindGroup({
    label,
    layout: gpu.bindGroupLayout(bindings.length),
    entries: bindings.map((resource, binding) => ({ binding, resource })),
  });
  const bytes = bindings.reduce((sum, { size }) => sum + size, 0);
  return { label, kind, flops, bytes, pipeline, bindGroup, groups };
}

/** Encodes launches in order. */
export function encodeLaunches(pass: GPUComputePassEncoder, launches: readonly Launch[]): void {
  for (const { pipeline, bindGroup, groups, indirect } of launches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    if (indirect) pass.dispatchWorkgroupsIndirect(indirect.buffer, indirect.offset);
    else pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
  }
}

/** Encodes launches in one compute pass and submits them. */
export function submitLaunches(gpu: Gpu, label: string, launches: readonly Launch[]): void {
  const encoder = gpu.device.createCommandEncoder({ label });
  const pass = encoder.beginComputePass({ label });
  encodeLaunches(pass, launches);
  pass.end();
  gpu.device.queue.submit([encoder.finish()]);
}
