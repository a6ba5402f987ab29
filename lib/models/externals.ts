/**
 * The buffers through which the host meets a classifier's program.
 *
 * @module
 */

import type { Normalisation } from "../data/normalisation.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Tensor } from "../ops/operation.ts";
import { sizeOf } from "../tensor.ts";
import { type Classifier, colourTable } from "./classifier.ts";

/** Buffers of images, placements and labels, and those of colours and constants, which are written here. The caller frees them. */
export function createExternals(
  gpu: Gpu,
  label: string,
  { images, placements, labels, colours, lossScale, constants }: Classifier,
  normalisation: Normalisation,
): ReadonlyMap<Tensor, GPUBuffer> {
  const buffers = new Map([
    [images, gpu.createBuffer(`${label} images`, sizeOf(images.shape))],
    [labels, gpu.createBuffer(`${label} labels`, sizeOf(labels.shape) * 4)],
  ]);
  if (placements) buffers.set(placements, gpu.createBuffer(`${label} placements`, sizeOf(placements.shape) * 4));
  if (lossScale) buffers.set(lossScale, gpu.createBuffer(`${label} loss scale`, sizeOf(lossScale.shape) * 4));
  for (const [tensor, values] of [[colours, colourTable(normalisation)] as const, ...constants]) {
    const buffer = gpu.createBuffer(`${label} ${tensor.name}`, values.byteLength);
    gpu.device.queue.writeBuffer(buffer, 0, values);
    buffers.set(tensor, buffer);
  }
  return buffers;
}
