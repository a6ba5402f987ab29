/**
 * Batches to evaluate: all examples of a set, each once.
 *
 * @module
 */

import { AUGMENTATIONS } from "./augment.ts";
import { BufferRing, checkBatchSize } from "./batch_buffers.ts";
import { imageBytes, type ImageFacts, type ImageSet, type ImageSource, type ImageStream, isStream } from "./dataset.ts";
import { Renderer } from "./render.ts";

/** Label of a row that holds no example and must not count. */
export const MASKED_LABEL = 0xffffffff;

/** A batch to evaluate. Its arrays are reused: they are valid until the next but one batch is asked for. */
export interface EvaluationBatch {
  /** `[batchSize, height, width, 3]` pixels; zero in masked rows */
  readonly images: Uint8Array<ArrayBuffer>;
  /** `[batchSize]` classes; {@linkcode MASKED_LABEL} in masked rows */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** Rows that hold an example; they come first. */
  readonly valid: number;
  /** Index in the set of the first row's example. */
  readonly start: number;
}

/**
 * All examples of a set in order, each once; the last batch is filled up with masked rows.
 *
 * @throws {RangeError} if the set is empty or the batch size is not a positive whole number
 */
export function evaluationBatches(set: ImageSet, batchSize: number): Generator<EvaluationBatch, void>;
export function evaluationBatches(
  set: ImageSource,
  batchSize: number,
): Generator<EvaluationBatch, void> | AsyncGenerator<EvaluationBatch, void>;
export function evaluationBatches(
  set: ImageSource,
  batchSize: number,
): Generator<EvaluationBatch, void> | AsyncGenerator<EvaluationBatch, void> {
  return isStream(set) ? streamedBatches(set, batchSize) : heldBatches(set, batchSize);
}

function* heldBatches(set: ImageSet, batchSize: number): Generator<EvaluationBatch, void> {
  checkBatchSize(set, batchSize);
  const buffers = new BufferRing(set, batchSize);
  const size = imageBytes(1, set.height, set.width);
  for (let start = 0; start < set.labels.length; start += batchSize) {
    const batch = nextBatch(buffers, set, batchSize, start);
    batch.images.set(set.images.subarray(start * size, (start + batch.valid) * size));
    yield batch;
  }
}

async function* streamedBatches(stream: ImageStream, batchSize: number): AsyncGenerator<EvaluationBatch, void> {
  checkBatchSize(stream, batchSize);
  const buffers = new BufferRing(stream, batchSize);
  using renderer = new Renderer(stream);
  for (let start = 0; start < stream.labels.length; start += batchSize) {
    const batch = nextBatch(buffers, stream, batchSize, start);
    const keys = Array.from({ length: batch.valid }, (_, row) => ({ seed: 0, epoch: 0, example: start + row }));
    await renderer.render(keys, AUGMENTATIONS.none, batch);
    yield batch;
  }
}

/** A batch with its labels and without its images; masked rows are black. */
function nextBatch(buffers: BufferRing, set: ImageFacts, batchSize: number, start: number): EvaluationBatch {
  const { images, labels } = buffers.next();
  const valid = Math.min(batchSize, set.labels.length - start);
  images.fill(0, valid * imageBytes(1, set.height, set.width));
  labels.set(set.labels.subarray(start, start + valid));
  labels.fill(MASKED_LABEL, valid);
  return { images, labels, valid, start };
}
