/**
 * Batches of training and of evaluation.
 *
 * @module
 */

import { PhiloxSequence, Stream } from "../random/philox.ts";
import { type Augmentation, AUGMENTATIONS, augmentImage } from "./augment.ts";
import { imageBytes, type ImageSet } from "./dataset.ts";

/** Label of a row that holds no example and must not count. */
export const MASKED_LABEL = 0xffffffff;

/** A batch to train on. Its arrays are reused: they are valid until the next but one batch is asked for. */
export interface TrainingBatch {
  /** `[batchSize, height, width, 3]` pixels */
  readonly images: Uint8Array<ArrayBuffer>;
  /** `[batchSize]` classes */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** `[batchSize]` indices of the examples in the set */
  readonly examples: Uint32Array<ArrayBuffer>;
  /** Pass over the set that the batch belongs to, from 0. */
  readonly epoch: number;
}

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

/** Options of {@linkcode BatchSequence}. */
export interface BatchOptions {
  /** Examples a batch; a smaller set trains with all its examples as one batch. */
  readonly batchSize: number;
  /** Seed of the order and the augmentation. */
  readonly seed: number;
  /** What is done to the images; default nothing. */
  readonly augmentation?: Augmentation;
}

/**
 * The batches of a training run, by step: every epoch runs through a fresh permutation of the examples and drops what
 * does not fill a batch. A batch is a pure function of the set, the options and the step, so a resumed run continues as
 * if it had never stopped.
 */
export class BatchSequence {
  /** Examples in every batch: the batch size asked for, or the size of the set if that is smaller. */
  readonly batchSize: number;
  /** Batches in an epoch, at least 1. */
  readonly stepsPerEpoch: number;
  readonly #set: ImageSet;
  readonly #seed: number;
  readonly #augmentation: Augmentation;
  readonly #order: Uint32Array<ArrayBuffer>;
  readonly #buffers: BufferPair;
  #orderEpoch = -1;

  /**
   * Prepares the two buffers; makes no batch yet.
   *
   * @throws {RangeError} if the set is empty or the batch size is not a positive whole number
   */
  constructor(set: ImageSet, { batchSize, seed, augmentation = AUGMENTATIONS.none }: BatchOptions) {
    checkBatchSize(set, batchSize);
    this.batchSize = Math.min(batchSize, set.labels.length);
    this.stepsPerEpoch = Math.floor(set.labels.length / this.batchSize);
    this.#set = set;
    this.#seed = seed;
    this.#augmentation = augmentation;
    this.#order = new Uint32Array(set.labels.length);
    this.#buffers = new BufferPair(set, this.batchSize);
  }

  /**
   * The batch of a global step, from 0.
   *
   * @throws {RangeError} if `step` is not a whole number from 0 on
   */
  batchAt(step: number): TrainingBatch {
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new RangeError(`Cannot make the batch of step ${step}: a whole number from 0 on is required`);
    }
    const epoch = Math.floor(step / this.stepsPerEpoch);
    this.#arrange(epoch);
    const { images, labels } = this.#buffers.next();
    const size = imageBytes(1, this.#set.height, this.#set.width);
    const first = (step % this.stepsPerEpoch) * this.batchSize;
    for (let row = 0; row < this.batchSize; row++) {
      const example = this.#order[first + row];
      const image = this.#set.images.subarray(example * size, (example + 1) * size);
      const key = { seed: this.#seed, epoch, example };
      augmentImage(image, this.#set, this.#augmentation, key, images, row * size);
      labels[row] = this.#set.labels[example];
    }
    return { images, labels, examples: this.#order.slice(first, first + this.batchSize), epoch };
  }

  /** Puts the examples in the order of an epoch. */
  #arrange(epoch: number): void {
    if (epoch === this.#orderEpoch) return;
    for (let index = 0; index < this.#order.length; index++) this.#order[index] = index;
    new PhiloxSequence(this.#seed, Stream.order, epoch).shuffle(this.#order);
    this.#orderEpoch = epoch;
  }
}

/**
 * All examples of a set in order, each once; the last batch is filled up with masked rows.
 *
 * @throws {RangeError} if the set is empty or the batch size is not a positive whole number
 */
export function* evaluationBatches(set: ImageSet, batchSize: number): Generator<EvaluationBatch, void> {
  checkBatchSize(set, batchSize);
  const buffers = new BufferPair(set, batchSize);
  const size = imageBytes(1, set.height, set.width);
  for (let start = 0; start < set.labels.length; start += batchSize) {
    const { images, labels } = buffers.next();
    const valid = Math.min(batchSize, set.labels.length - start);
    images.set(set.images.subarray(start * size, (start + valid) * size));
    images.fill(0, valid * size);
    labels.set(set.labels.subarray(start, start + valid));
    labels.fill(MASKED_LABEL, valid);
    yield { images, labels, valid, start };
  }
}

/** Two sets of arrays, used in turn: one can be filled while the device still reads the other. */
class BufferPair {
  readonly #buffers: readonly { images: Uint8Array<ArrayBuffer>; labels: Uint32Array<ArrayBuffer> }[];
  #turn = 0;

  constructor({ height, width }: ImageSet, batchSize: number) {
    this.#buffers = [0, 1].map(() => ({
      images: new Uint8Array(imageBytes(batchSize, height, width)),
      labels: new Uint32Array(batchSize),
    }));
  }

  next(): { images: Uint8Array<ArrayBuffer>; labels: Uint32Array<ArrayBuffer> } {
    this.#turn = 1 - this.#turn;
    return this.#buffers[this.#turn];
  }
}

function checkBatchSize(set: ImageSet, batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1 || set.labels.length === 0) {
    throw new RangeError(
      `Cannot make batches of ${batchSize} from the ${set.labels.length} examples of ${set.name}: ` +
        `a positive whole batch size and at least one example are required`,
    );
  }
}
