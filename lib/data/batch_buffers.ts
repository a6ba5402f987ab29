/**
 * The arrays that batches are made in.
 *
 * @module
 */

import type { ImageSize } from "./augment.ts";
import { PLACEMENT_PARAMETERS } from "./augmentation/placements.ts";
import { imageBytes, type ImageFacts } from "./dataset.ts";

/** The arrays of a batch. */
export interface BatchBuffers {
  readonly images: Uint8Array<ArrayBuffer>;
  readonly labels: Uint32Array<ArrayBuffer>;
  readonly placements: Float32Array<ArrayBuffer>;
}

/** Sets of arrays, used in turn: one can be filled while the device still reads another. */
export class BufferRing {
  readonly #buffers: readonly BatchBuffers[];
  #turn = 0;

  constructor({ height, width }: ImageSize, batchSize: number, count = 2) {
    this.#buffers = Array.from({ length: count }, () => ({
      images: new Uint8Array(imageBytes(batchSize, height, width)),
      labels: new Uint32Array(batchSize),
      placements: new Float32Array(batchSize * PLACEMENT_PARAMETERS),
    }));
  }

  next(): BatchBuffers {
    this.#turn = (this.#turn + 1) % this.#buffers.length;
    return this.#buffers[this.#turn];
  }
}

/**
 * Refuses a batch size that is not a positive whole number, and a set without examples.
 *
 * @throws {RangeError}
 */
export function checkBatchSize(set: ImageFacts, batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1 || set.labels.length === 0) {
    throw new RangeError(
      `Cannot make batches of ${batchSize} from the ${set.labels.length} examples of ${set.name}: ` +
        `a positive whole batch size and at least one example are required`,
    );
  }
}
