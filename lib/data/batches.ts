/**
 * Batches of training and of evaluation.
 *
 * @module
 */

import { PhiloxSequence, Stream } from "../random/philox.ts";
import { type Augmentation, AUGMENTATIONS, drawPlacement, preparedSize } from "./augment.ts";
import { PLACEMENT_PARAMETERS, writePlacement } from "./augmentation/placements.ts";
import { imageBytes, type ImageFacts, type ImageSet, type ImageSource, type ImageStream, isStream } from "./dataset.ts";
import { Renderer } from "./render.ts";

/** Label of a row that holds no example and must not count. */
export const MASKED_LABEL = 0xffffffff;

/** A batch to train on. Its arrays are reused: they are valid until the next but one batch is asked for. */
export interface TrainingBatch {
  /** `[batchSize, height, width, 3]` pixels */
  readonly images: Uint8Array<ArrayBuffer>;
  /** `[batchSize, PLACEMENT_PARAMETERS]`: how the device augments the images; absent: it does not. */
  readonly placements?: Float32Array<ArrayBuffer>;
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
class TrainingOrder {
  readonly epoch: Epoch;
  readonly #order: Uint32Array<ArrayBuffer>;
  readonly #places: Uint32Array<ArrayBuffer>;
  #orderEpoch = -1;
  #placesEpoch = -1;

  constructor(set: ImageFacts, { batchSize }: BatchOptions, readonly seed: number) {
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

/** The augmentation that is left to the device: none of a stream's, whose threads have done it. */
export function deviceAugmentation(source: ImageSource, augmentation?: Augmentation): Augmentation | undefined {
  return isStream(source) || augmentation?.kind === "none" ? undefined : augmentation;
}

/** Where training batches come from; see {@linkcode trainingBatches}. */
export interface TrainingBatches extends Epoch, Disposable {
  /** What the device is to do to the images, by their placements; absent: they need nothing more. */
  readonly augmentation?: Augmentation;
  /**
   * The batch of a global step, from 0: a pure function of the set, the options and the step, so a resumed run continues
   * as if it had never stopped.
   *
   * @throws {RangeError} if `step` is not a whole number from 0 on
   */
  batchAt(step: number): TrainingBatch | Promise<TrainingBatch>;
  /**
   * Where each example of a global step stood in the epoch before: step of the epoch * batchSize + row, or stepsPerEpoch *
   * batchSize where it was left out or there was no such epoch.
   */
  placesBefore(step: number): Uint32Array<ArrayBuffer>;
}

/**
 * The batches of a training run.
 *
 * @throws {RangeError} if the set is empty or the batch size is not a positive whole number
 */
export function trainingBatches(source: ImageSource, options: BatchOptions): TrainingBatches {
  return isStream(source) ? new StreamedBatchSequence(source, options) : new BatchSequence(source, options);
}

/** {@linkcode TrainingBatches} of a set in memory, whose images the device augments. */
export class BatchSequence implements TrainingBatches {
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  readonly augmentation: Augmentation | undefined;
  readonly #set: ImageSet;
  readonly #order: TrainingOrder;
  readonly #buffers: BufferRing;

  /**
   * Prepares the two buffers; makes no batch yet.
   *
   * @throws {RangeError} if the set is empty or the batch size is not a positive whole number
   */
  constructor(set: ImageSet, options: BatchOptions) {
    this.#order = new TrainingOrder(set, options, options.seed);
    ({ batchSize: this.batchSize, stepsPerEpoch: this.stepsPerEpoch } = this.#order.epoch);
    this.augmentation = deviceAugmentation(set, options.augmentation);
    this.#set = set;
    this.#buffers = new BufferRing(set, this.batchSize);
  }

  batchAt(step: number): TrainingBatch {
    const { examples, epoch } = this.#order.at(step);
    const { images, labels, placements } = this.#buffers.next();
    const size = imageBytes(1, this.#set.height, this.#set.width);
    examples.forEach((example, row) => {
      images.set(this.#set.images.subarray(example * size, (example + 1) * size), row * size);
      labels[row] = this.#set.labels[example];
    });
    const batch = { images, labels, examples: examples.slice(), epoch };
    if (this.augmentation === undefined) return batch;
    this.#place(placements, examples, epoch, this.augmentation);
    return { ...batch, placements };
  }

  #place(table: Float32Array, examples: Uint32Array, epoch: number, augmentation: Augmentation): void {
    const { seed } = this.#order, size = this.#set, prepared = preparedSize(size, augmentation);
    examples.forEach((example, row) => {
      const placement = drawPlacement(prepared, size, augmentation, { seed, epoch, example });
      writePlacement(table, row, size, augmentation, placement);
    });
  }

  placesBefore(step: number): Uint32Array<ArrayBuffer> {
    return this.#order.placesBefore(step);
  }

  /** Nothing is held. */
  [Symbol.dispose](): void {}
}

/** {@linkcode TrainingBatches} of a stream: while a batch is trained on, the next one is being decoded. */
class StreamedBatchSequence implements TrainingBatches {
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  readonly #stream: ImageStream;
  readonly #augmentation: Augmentation;
  readonly #order: TrainingOrder;
  readonly #buffers: BufferRing;
  readonly #renderer: Renderer;
  #ahead: { readonly step: number; readonly batch: Promise<TrainingBatch> } | undefined;

  constructor(stream: ImageStream, options: BatchOptions) {
    this.#order = new TrainingOrder(stream, options, options.seed);
    ({ batchSize: this.batchSize, stepsPerEpoch: this.stepsPerEpoch } = this.#order.epoch);
    this.#stream = stream;
    this.#augmentation = options.augmentation ?? AUGMENTATIONS.none;
    // Two that callers may hold, and the one that is filled ahead.
    this.#buffers = new BufferRing(stream, this.batchSize, 3);
    this.#renderer = new Renderer(stream);
  }

  async batchAt(step: number): Promise<TrainingBatch> {
    // A batch that was decoded ahead for another step is let go once it is done with its buffers.
    if (this.#ahead?.step !== step) await this.#ahead?.batch.catch(() => {});
    const batch = await (this.#ahead?.step === step ? this.#ahead.batch : this.#make(step));
    this.#ahead = { step: step + 1, batch: this.#make(step + 1) };
    // Its error is thrown when the batch is asked for.
    this.#ahead.batch.catch(() => {});
    return batch;
  }

  placesBefore(step: number): Uint32Array<ArrayBuffer> {
    return this.#order.placesBefore(step);
  }

  async #make(step: number): Promise<TrainingBatch> {
    const { examples: ordered, epoch } = this.#order.at(step), examples = ordered.slice();
    const { images, labels } = this.#buffers.next();
    labels.set(examples.map((example) => this.#stream.labels[example]));
    const keys = Array.from(examples, (example) => ({ seed: this.#order.seed, epoch, example }));
    await this.#renderer.render(keys, this.#augmentation, images);
    return { images, labels, examples, epoch };
  }

  [Symbol.dispose](): void {
    this.#renderer[Symbol.dispose]();
  }
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
    await renderer.render(keys, AUGMENTATIONS.none, batch.images);
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

/** The arrays of a batch. */
interface Buffers {
  readonly images: Uint8Array<ArrayBuffer>;
  readonly labels: Uint32Array<ArrayBuffer>;
  readonly placements: Float32Array<ArrayBuffer>;
}

/** Sets of arrays, used in turn: one can be filled while the device still reads another. */
class BufferRing {
  readonly #buffers: readonly Buffers[];
  #turn = 0;

  constructor({ height, width }: ImageFacts, batchSize: number, count = 2) {
    this.#buffers = Array.from({ length: count }, () => ({
      images: new Uint8Array(imageBytes(batchSize, height, width)),
      labels: new Uint32Array(batchSize),
      placements: new Float32Array(batchSize * PLACEMENT_PARAMETERS),
    }));
  }

  next(): Buffers {
    this.#turn = (this.#turn + 1) % this.#buffers.length;
    return this.#buffers[this.#turn];
  }
}

function checkBatchSize(set: ImageFacts, batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1 || set.labels.length === 0) {
    throw new RangeError(
      `Cannot make batches of ${batchSize} from the ${set.labels.length} examples of ${set.name}: ` +
        `a positive whole batch size and at least one example are required`,
    );
  }
}
