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

/** Bytes of the tensors through which the host meets a classifier. */
export function externalSizes(classifier: Classifier): ReadonlyMap<Tensor, number> {
  const { images, placements, labels, colours, lossScale, constants } = classifier;
  const words = [labels, placements, colours, lossScale, ...constants.keys()].filter((tensor) => tensor !== undefined);
  return new Map([
    [images, sizeOf(images.shape)],
    ...words.map((tensor) => [tensor, sizeOf(tensor.shape) * 4] as const),
  ]);
}

/** Buffers of all that; those of colours and constants are written here. The caller frees them. */
export function createExternals(
  gpu: Gpu,
  label: string,
  classifier: Classifier,
  normalisation: Normalisation,
): ReadonlyMap<Tensor, GPUBuffer> {
  const buffers = new Map<Tensor, GPUBuffer>();
  for (const [tensor, bytes] of externalSizes(classifier)) {
    buffers.set(tensor, gpu.createBuffer(`${label} ${tensor.name}`, bytes));
  }
  for (const [tensor, values] of [[classifier.colours, colourTable(normalisation)] as const, ...classifier.constants]) {
    gpu.device.queue.writeBuffer(buffers.get(tensor)!, 0, values);
  }
  return buffers;
}
