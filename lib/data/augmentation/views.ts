/**
 * Views of the examples of a step.
 *
 * @module
 */

import { BatchAhead } from "../batch_ahead.ts";
import { imageBytes, type ImageFacts, type ImageSet, type ImageSource, type ImageStream } from "../dataset.ts";
import { Renderer } from "../render.ts";
import { type TrainingBatch, type TrainingBatches, trainingBatches } from "../training_batches.ts";
import { type Epoch, TrainingOrder } from "../training_order.ts";
import { drawView, MOST_VIEWS } from "./draw.ts";
import { VIEW_PARAMETERS, writeDraw } from "./table.ts";
import type { View } from "./view.ts";
import { roomOf, type ViewGroup, viewImages } from "./view_source.ts";

/** The examples of a step and what becomes of them. Its arrays are valid until the next but one batch is asked for. */
export interface ViewBatch {
  /**
   * uint8 [B, H, W, 3] of which all views are made; or, for each group, the boxes that its views are made of, one behind
   * another: see {@linkcode viewImages}.
   */
  readonly images: readonly Uint8Array<ArrayBuffer>[];
  /** For each group [views * B, {@linkcode VIEW_PARAMETERS}], view by view. */
  readonly parameters: readonly Float32Array<ArrayBuffer>[];
  /** Pass over the set that the batch belongs to, from 0. */
  readonly epoch: number;
  /** [B]: indices of the examples in their set. */
  readonly examples: Uint32Array<ArrayBuffer>;
  /** [B]: classes of the examples; all 0 where the set has no labels. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** [B]: where each example stood in the pass before, as {@linkcode TrainingBatches.placesBefore} says. */
  readonly placesBefore: Uint32Array<ArrayBuffer>;
}

/** Refuses views that cannot run as one batch, or more views than there are random numbers for. */
function requireGroups(groups: readonly ViewGroup[]): void {
  const shared = ({ height, width, resize, rotation, blur }: View) =>
    JSON.stringify([height, width, resize?.filter, resize?.kind, rotation?.interpolation, blur?.kernel]);
  for (const group of groups) {
    if (new Set(group.map(shared)).size === 1) continue;
    throw new RangeError(
      `Cannot make a batch of ${group.length} views: they differ in size, resizing, rotation or the blur's kernel, or ` +
        "there are none; views that agree are required",
    );
  }
  const count = groups.flat().length;
  if (count > MOST_VIEWS) {
    throw new RangeError(`Cannot make ${count} views of an image: at most ${MOST_VIEWS} are possible`);
  }
}

/** How examples are batched and views drawn. */
export interface ViewOptions {
  /** Examples a batch; a smaller set trains with all its examples as one batch. */
  readonly batchSize: number;
  /** Seed of the order and of the views. */
  readonly seed: number;
}

/** Where views come from, by step; see {@linkcode viewBatches}. */
export interface ViewBatches extends Epoch, Disposable {
  /** The batch of a global step, from 0: a pure function of the images, the views, the seed and the step. */
  batchAt(step: number): ViewBatch | Promise<ViewBatch>;
}

/** {@linkcode ViewBatches} of images in memory: nothing has to be waited for. */
export interface HeldViewBatches extends ViewBatches {
  batchAt(step: number): ViewBatch;
}

/**
 * The views of a training run, by group. Images of a stream are decoded by threads while the device works on the step
 * before.
 *
 * @throws {RangeError} if the views of a group differ in what they must share
 */
export function viewBatches(set: ImageSet, groups: readonly ViewGroup[], options: ViewOptions): HeldViewBatches;
export function viewBatches(source: ImageSource, groups: readonly ViewGroup[], options: ViewOptions): ViewBatches;
export function viewBatches(source: ImageSource, groups: readonly ViewGroup[], options: ViewOptions): ViewBatches {
  requireGroups(groups);
  const images = viewImages(source, groups);
  if (images !== "boxes") return new ViewSequence(images, groups, options);
  return new BoxSequence(source as ImageStream, groups, options);
}

/** Views that are cut out of images of one size. */
class ViewSequence implements ViewBatches {
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  readonly #batches: TrainingBatches;
  readonly #size: ImageFacts;
  readonly #groups: readonly ViewGroup[];
  readonly #seed: number;
  readonly #tables: readonly (readonly Float32Array<ArrayBuffer>[])[];

  constructor(source: ImageSource, groups: readonly ViewGroup[], { batchSize, seed }: ViewOptions) {
    this.#batches = trainingBatches(source, { batchSize, seed });
    ({ batchSize: this.batchSize, stepsPerEpoch: this.stepsPerEpoch } = this.#batches);
    this.#size = source;
    this.#groups = groups;
    this.#seed = seed;
    // Two, used in turn, as the images are.
    this.#tables = [0, 1].map(() =>
      groups.map((group) => new Float32Array(group.length * this.batchSize * VIEW_PARAMETERS))
    );
  }

  batchAt(step: number): ViewBatch | Promise<ViewBatch> {
    const batch = this.#batches.batchAt(step);
    return batch instanceof Promise ? batch.then((images) => this.#draw(step, images)) : this.#draw(step, batch);
  }

  #draw(step: number, { images, labels, examples, epoch }: TrainingBatch): ViewBatch {
    const parameters = this.#tables[step % 2];
    let view = 0;
    this.#groups.forEach((group, index) => {
      group.forEach((config, place) => {
        examples.forEach((example, row) => {
          const draw = drawView(config, this.#size, { seed: this.#seed, step, example, view });
          writeDraw(parameters[index], place * this.batchSize + row, row, draw);
        });
        view++;
      });
    });
    return { images: [images], parameters, epoch, examples, labels, placesBefore: this.#batches.placesBefore(step) };
  }

  [Symbol.dispose](): void {
    this.#batches[Symbol.dispose]();
  }
}

/** Arrays that a batch of boxes is made in. */
type BoxBuffers = Pick<ViewBatch, "images" | "parameters" | "labels">;

/** Views of which each has a box to itself, cut out of a whole image of a stream. */
class BoxSequence implements ViewBatches {
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  readonly #stream: ImageStream;
  readonly #order: TrainingOrder;
  readonly #groups: readonly ViewGroup[];
  readonly #renderer: Renderer;
  /** Two that callers may hold, and the one that is filled ahead. */
  readonly #buffers: readonly BoxBuffers[];
  readonly #ahead = new BatchAhead((step) => this.#make(step));
  #turn = 0;

  constructor(stream: ImageStream, groups: readonly ViewGroup[], { batchSize, seed }: ViewOptions) {
    this.#order = new TrainingOrder(stream, batchSize, seed);
    ({ batchSize: this.batchSize, stepsPerEpoch: this.stepsPerEpoch } = this.#order.epoch);
    this.#stream = stream;
    this.#groups = groups;
    this.#renderer = new Renderer(stream);
    const images = (group: ViewGroup) => {
      const { height, width } = roomOf("boxes", group);
      return new Uint8Array(imageBytes(group.length * this.batchSize, height, width));
    };
    this.#buffers = [0, 1, 2].map(() => ({
      images: groups.map(images),
      parameters: groups.map((group) => new Float32Array(group.length * this.batchSize * VIEW_PARAMETERS)),
      labels: new Uint32Array(this.batchSize),
    }));
  }

  batchAt(step: number): Promise<ViewBatch> {
    return this.#ahead.at(step);
  }

  async #make(step: number): Promise<ViewBatch> {
    const { examples: ordered, epoch } = this.#order.at(step), examples = ordered.slice();
    const placesBefore = this.#order.placesBefore(step);
    const { images, parameters, labels } = this.#buffers[this.#turn = (this.#turn + 1) % 3];
    labels.set(examples.map((example) => this.#stream.labels[example]));
    const keys = Array.from(examples, (example) => ({ seed: this.#order.seed, step, example }));
    let ends = this.#groups.map(() => 0);
    await this.#renderer.renderViews(this.#groups.flat(), keys, (pieces, row) => {
      if (row === 0) ends = this.#groups.map(() => 0);
      let view = 0;
      this.#groups.forEach((group, index) =>
        group.forEach((_, place) => {
          const { image: { height, width, rgb }, draw } = pieces[view++], firstByte = ends[index];
          const box = { left: 0, top: 0, height, width };
          images[index].set(rgb, firstByte);
          writeDraw(parameters[index], place * this.batchSize + row, row, { ...draw, box }, firstByte);
          ends[index] += rgb.length;
        })
      );
    });
    const filled = images.map((room, index) => room.subarray(0, ends[index]));
    return { images: filled, parameters, epoch, examples, labels, placesBefore };
  }

  [Symbol.dispose](): void {
    this.#renderer[Symbol.dispose]();
  }
}
