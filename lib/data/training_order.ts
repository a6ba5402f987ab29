/**
 * Which examples a training run sees in which step.
 *
 * @module
 */

import { PhiloxSequence, Stream } from "../random/philox.ts";
import { checkBatchSize } from "./batch_buffers.ts";
import type { ImageFacts } from "./dataset.ts";

/** The seed of a chain: chains that begin alike differ in the order and the augmentation of their examples. */
export function seedOfChain(seed: number, chain = 0): number {
  return seed + chain * 0x100000000;
}

/** How many examples a step takes, and how many steps make a pass over the set. */
export interface Epoch {
  /** Examples in every batch: the batch size asked for, or the size of the set if that is smaller. */
  readonly batchSize: number;
  /** Batches in an epoch, at least 1. */
  readonly stepsPerEpoch: number;
}

/**
 * The steps of an epoch: what does not fill a batch is dropped.
 *
 * @throws {RangeError} if the set is empty or the batch size is not a positive whole number
 */
export function epochOf(set: ImageFacts, batchSize: number): Epoch {
  checkBatchSize(set, batchSize);
  const size = Math.min(batchSize, set.labels.length);
  return { batchSize: size, stepsPerEpoch: Math.floor(set.labels.length / size) };
}

/**
 * The examples of a training run, by step: every epoch runs through a fresh permutation and drops what does not fill a
 * batch.
 */
export class TrainingOrder {
  readonly epoch: Epoch;
  readonly #order: Uint32Array<ArrayBuffer>;
  readonly #places: Uint32Array<ArrayBuffer>;
  #orderEpoch = -1;
  #placesEpoch = -1;

  constructor(set: ImageFacts, batchSize: number, readonly seed: number) {
    this.epoch = epochOf(set, batchSize);
    this.#order = new Uint32Array(set.labels.length);
    this.#places = new Uint32Array(set.labels.length);
  }

  /** Examples of a global step, valid until the next call, and their epoch. */
  at(step: number): { readonly examples: Uint32Array<ArrayBuffer>; readonly epoch: number } {
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new RangeError(`Cannot make the batch of step ${step}: a whole number from 0 on is required`);
    }
    const { batchSize, stepsPerEpoch } = this.epoch;
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== this.#orderEpoch) {
      this.#shuffle(this.#order, epoch);
      this.#orderEpoch = epoch;
    }
    const first = (step % stepsPerEpoch) * batchSize;
    return { examples: this.#order.subarray(first, first + batchSize), epoch };
  }

  /** Where the examples of a global step stood in the epoch before. */
  placesBefore(step: number): Uint32Array<ArrayBuffer> {
    const { examples, epoch } = this.at(step), { batchSize, stepsPerEpoch } = this.epoch;
    const nowhere = stepsPerEpoch * batchSize;
    if (epoch !== this.#placesEpoch) {
      this.#places.fill(nowhere);
      if (epoch > 0) {
        const before = this.#shuffle(new Uint32Array(this.#order.length), epoch - 1);
        for (let place = 0; place < nowhere; place++) this.#places[before[place]] = place;
      }
      this.#placesEpoch = epoch;
    }
    return examples.map((example) => this.#places[example]);
  }

  #shuffle(order: Uint32Array<ArrayBuffer>, epoch: number): Uint32Array<ArrayBuffer> {
    for (let index = 0; index < order.length; index++) order[index] = index;
    return new PhiloxSequence(this.seed, Stream.order, epoch).shuffle(order);
  }
}
