/**
 * Batches to train on.
 *
 * @module
 */

import { type Augmentation, AUGMENTATIONS, drawPlacement, type ImageSize, preparedSize } from "./augment.ts";
import { type SourceSize, writePlacement } from "./augmentation/placements.ts";
import { BatchAhead } from "./batch_ahead.ts";
import { BufferRing } from "./batch_buffers.ts";
import { largestBox } from "./cut_box.ts";
import { imageBytes, type ImageSet, type ImageSource, type ImageStream, isStream, wholeSetOf } from "./dataset.ts";
import { Renderer } from "./render.ts";
import { type Epoch, TrainingOrder } from "./training_order.ts";

/** A batch to train on. Its arrays are reused: they are valid until the next but one batch is asked for. */
export interface TrainingBatch {
  /** `[batchSize, height, width, 3]` pixels, or those of boxes one behind another: see {@linkcode SourceSize}. */
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

/** Options of {@linkcode BatchSequence}. */
export interface BatchOptions {
  /** Examples a batch; a smaller set trains with all its examples as one batch. */
  readonly batchSize: number;
  /** Seed of the order and the augmentation. */
  readonly seed: number;
  /** What is done to the images; default nothing. */
  readonly augmentation?: Augmentation;
}

/** What is left to the device. */
export interface DeviceAugmentation {
  /** What the device does to the images, by their placements; absent: they need nothing more. */
  readonly augmentation?: Augmentation;
  /** Size of the images that the device gets; absent: the one that they keep. */
  readonly sourceSize?: SourceSize;
}

/**
 * The augmentation is left to the device. Of a set it gets the images as they are; of a stream prepared for what is random,
 * or, where parts of whole images are resized, those parts. What is whole and in memory stays whole.
 */
export function deviceAugmentation(source: ImageSource, augmentation?: Augmentation): DeviceAugmentation {
  if (augmentation === undefined || augmentation.kind === "none") return {};
  if (!isStream(source)) return { augmentation };
  if (augmentation.kind !== "resized-crop") return { augmentation, sourceSize: preparedSize(source, augmentation) };
  if (source.whole === undefined) return { augmentation, sourceSize: largestBox(source) };
  const { height, width } = source.whole;
  return { augmentation, sourceSize: { height, width } };
}

/** Where training batches come from; see {@linkcode trainingBatches}. */
export interface TrainingBatches extends Epoch, DeviceAugmentation, Disposable {
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
  if (!isStream(source)) return new BatchSequence(source, options);
  const whole = options.augmentation?.kind === "resized-crop" ? wholeSetOf(source) : undefined;
  return whole ? new BatchSequence(whole, options, source) : new StreamedBatchSequence(source, options);
}

/** {@linkcode TrainingBatches} of images in memory, which the device augments. */
export class BatchSequence implements TrainingBatches {
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  readonly augmentation: Augmentation | undefined;
  readonly sourceSize: SourceSize | undefined;
  readonly #set: ImageSet;
  readonly #size: ImageSize;
  readonly #order: TrainingOrder;
  readonly #buffers: BufferRing;

  /**
   * Prepares the two buffers; makes no batch yet.
   *
   * @param size that the images get by their augmentation; their own unless given
   * @throws {RangeError} if the set is empty or the batch size is not a positive whole number
   */
  constructor(set: ImageSet, options: BatchOptions, size?: ImageSize) {
    this.#order = new TrainingOrder(set, options.batchSize, options.seed);
    ({ batchSize: this.batchSize, stepsPerEpoch: this.stepsPerEpoch } = this.#order.epoch);
    this.augmentation = deviceAugmentation(set, options.augmentation).augmentation;
    this.sourceSize = size && { height: set.height, width: set.width };
    this.#set = set;
    this.#size = size ?? set;
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
    const { seed } = this.#order, { height, width } = this.#set, prepared = preparedSize(this.#set, augmentation);
    const whole = { left: 0, top: 0, height, width }, size = imageBytes(1, height, width);
    examples.forEach((example, row) => {
      const placement = drawPlacement(prepared, this.#size, augmentation, { seed, epoch, example });
      // Where an image is turned, all of it is resized first.
      const box = augmentation.kind === "rotated-crop" ? whole : placement.box;
      writePlacement(table, row, { firstByte: row * size, box, prepared, placement });
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
  readonly augmentation: Augmentation | undefined;
  readonly sourceSize: SourceSize | undefined;
  readonly #stream: ImageStream;
  readonly #order: TrainingOrder;
  readonly #buffers: BufferRing;
  readonly #renderer: Renderer;
  readonly #ahead = new BatchAhead((step) => this.#make(step));

  constructor(stream: ImageStream, options: BatchOptions) {
    this.#order = new TrainingOrder(stream, options.batchSize, options.seed);
    ({ batchSize: this.batchSize, stepsPerEpoch: this.stepsPerEpoch } = this.#order.epoch);
    this.#stream = stream;
    ({ augmentation: this.augmentation, sourceSize: this.sourceSize } = deviceAugmentation(
      stream,
      options.augmentation,
    ));
    // Two that callers may hold, and the one that is filled ahead.
    this.#buffers = new BufferRing(this.sourceSize ?? stream, this.batchSize, 3);
    this.#renderer = new Renderer(stream);
  }

  batchAt(step: number): Promise<TrainingBatch> {
    return this.#ahead.at(step);
  }

  placesBefore(step: number): Uint32Array<ArrayBuffer> {
    return this.#order.placesBefore(step);
  }

  async #make(step: number): Promise<TrainingBatch> {
    const { examples: ordered, epoch } = this.#order.at(step), examples = ordered.slice();
    const { images: room, labels, placements } = this.#buffers.next();
    labels.set(examples.map((example) => this.#stream.labels[example]));
    const keys = Array.from(examples, (example) => ({ seed: this.#order.seed, epoch, example }));
    const target = { images: room, placements };
    const bytes = await this.#renderer.render(keys, this.augmentation ?? AUGMENTATIONS.none, target);
    const batch = { images: room.subarray(0, bytes), labels, examples, epoch };
    return this.augmentation === undefined ? batch : { ...batch, placements };
  }

  [Symbol.dispose](): void {
    this.#renderer[Symbol.dispose]();
  }
}
