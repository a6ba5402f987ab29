/**
 * Kernel launches with their pipeline and bindings, made once and encoded often.
 *
 * @module
 */

import { packBindings } from "../../kernels/half.ts";
import { fitsImage, type ImageBinding, imageBindings, imageDimension, TEXEL_BYTES } from "../../kernels/image.ts";
import { type Constants, expand } from "../../kernels/template.ts";
import { OutOfMemoryError } from "../errors.ts";
import type { BindingKind, Gpu } from "./device.ts";
import { encodeImageCopy, type ImageCopy, type ImageSource, type LaunchBindings } from "./images.ts";

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
  /** Bindings that the kernel reads as images, where it is given images: see `kernels/image.ts`. */
  readonly images?: readonly number[];
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
  /** What is copied into images before. */
  readonly copies: readonly ImageCopy[];
  /** Workgroups along x, y and z. */
  readonly groups: readonly [number, number, number];
  /** Where the device finds the workgroups instead: it may have set them to 0. */
  readonly indirect?: { readonly buffer: GPUBuffer; readonly offset: number };
}

/**
 * The images of a launch whose bindings are of these sizes in bytes: one for each that is read as such, unless it is
 * larger than an image can be, or no whole number of texels.
 */
export function imagesOf(
  { images = [], packed = [] }: Pick<KernelLaunch, "images" | "packed">,
  sizes: readonly number[],
): ImageBinding[] {
  return images.flatMap((index) => {
    const format = packed.includes(index) ? "rgba16float" : "rgba32float";
    const texels = sizes[index] / TEXEL_BYTES[format];
    return fitsImage(texels) ? [{ index, texels, format }] : [];
  });
}

/** What a launch reads as images, and what else it binds. */
export function bindingsOf(kernel: KernelLaunch, ranges: readonly BufferRange[]): LaunchBindings {
  const images = imagesOf(kernel, ranges.map(({ size }) => size)).map((image) => ({
    ...image,
    range: ranges[image.index],
  }));
  return { images, buffers: ranges.filter((_, index) => images.every((image) => image.index !== index)) };
}

/**
 * Builds the pipeline (once per text) and the bind group of a launch.
 *
 * @param images where the kernel's images are; without them it reads its buffers
 */
export async function prepareLaunch(
  gpu: Gpu,
  kernel: KernelLaunch,
  bindings: readonly BufferRange[],
  images?: ImageSource,
): Promise<Launch> {
  const { label, groups, flops, kind = label.replace(/ \d+$/, "") } = kernel;
  for (const { buffer, size } of bindings) {
    if (size > gpu.maxBindingBytes) {
      throw new OutOfMemoryError(
        `Cannot bind ${size} bytes of ${buffer.label} for ${label}: the device's limit is ` +
          `${gpu.maxBindingBytes} bytes; use a smaller batch`,
      );
    }
  }
  const requests = images === undefined ? [] : bindingsOf(kernel, bindings).images;
  const textures = new Map(requests.map((request) => [request.index, images!.imageOf(request)]));
  const text = imageBindings(expand(kernel.source, kernel.constants, kernel.floats), requests);
  const packed = (kernel.packed ?? []).filter((index) => !textures.has(index));
  const kinds: BindingKind[] = bindings.map(() => "buffer");
  for (const { index, texels, format } of requests) kinds[index] = `${imageDimension(texels)} ${format}`;
  const pipeline = await gpu.pipeline(
    label,
    packed.length > 0 ? packBindings(text, packed) : text,
    kinds,
    kernel.entryPoint,
  );
  const bindGroup = gpu.device.createBindGroup({
    label,
    layout: gpu.bindGroupLayout(kinds),
    entries: bindings.map((buffer, binding) => ({
      binding,
      resource: textures.get(binding)?.createView() ?? buffer,
    })),
  });
  const bytes = bindings.reduce((sum, { size }) => sum + size, 0);
  return {
    label,
    kind,
    flops,
    bytes,
    pipeline,
    bindGroup,
    groups,
    copies: images?.copies ?? [],
  };
}

/** Encodes launches in order: in one compute pass, but for copies between them. */
export function encodeLaunches(encoder: GPUCommandEncoder, label: string, launches: Iterable<Launch>): void {
  let pass: GPUComputePassEncoder | undefined;
  for (const { pipeline, bindGroup, groups, indirect, copies } of launches) {
    if (copies.length > 0) {
      pass?.end();
      pass = undefined;
      for (const copy of copies) encodeImageCopy(encoder, copy);
    }
    pass ??= encoder.beginComputePass({ label });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    if (indirect) pass.dispatchWorkgroupsIndirect(indirect.buffer, indirect.offset);
    else pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
  }
  pass?.end();
}

/** Encodes launches between two timestamps, those of index `first` and the next one. */
export function encodeTimed(
  encoder: GPUCommandEncoder,
  launches: readonly Launch[],
  querySet: GPUQuerySet,
  first: number,
): void {
  const { label } = launches[0];
  // Copies stand between passes: passes without launches take the time before and behind all.
  encoder.beginComputePass({ label, timestampWrites: { querySet, beginningOfPassWriteIndex: first } }).end();
  encodeLaunches(encoder, label, launches);
  encoder.beginComputePass({ label, timestampWrites: { querySet, endOfPassWriteIndex: first + 1 } }).end();
}

/** Encodes launches and submits them. */
export function submitLaunches(gpu: Gpu, label: string, launches: readonly Launch[]): void {
  const encoder = gpu.device.createCommandEncoder({ label });
  encodeLaunches(encoder, label, launches);
  gpu.device.queue.submit([encoder.finish()]);
}
