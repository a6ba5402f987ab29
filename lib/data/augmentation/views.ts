/**
 * Views of the examples of a step.
 *
 * @module
 */

import { type TrainingBatch, type TrainingBatches, trainingBatches } from "../training_batches.ts";
import type { Epoch } from "../training_order.ts";
import type { ImageFacts, ImageSet, ImageSource } from "../dataset.ts";
import { drawView, MOST_VIEWS } from "./draw.ts";
import { VIEW_PARAMETERS, writeDraw } from "./table.ts";
import type { View } from "./view.ts";

/** Views that run as one batch: they have one size, and resize, rotate and blur alike. */
export type ViewGroup = readonly View[];

/** The examples of a step and what becomes of them. Its arrays are valid until the next but one batch is asked for. */
export interface ViewBatch {
  /** uint8 [B, H, W, 3] */
  readonly images: Uint8Array<ArrayBuffer>;
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
 * The views of a training run, by group. Those of a stream are cut out of its fitted images, which threads decode while the
 * device works on the step before.
 *
 * @throws {RangeError} if the views of a group differ in what they must share
 */
export function viewBatches(set: ImageSet, groups: readonly ViewGroup[], options: ViewOptions): HeldViewBatches;
export function viewBatches(source: ImageSource, groups: readonly ViewGroup[], options: ViewOptions): ViewBatches;
export function viewBatches(source: ImageSource, groups: readonly ViewGroup[], options: ViewOptions): ViewBatches {
  return new ViewSequence(source, groups, options);
}

class ViewSequence implements ViewBatches {
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  readonly #batches: TrainingBatches;
  readonly #size: ImageFacts;
  readonly #groups: readonly ViewGroup[];
  readonly #seed: number;
  readonly #tables: readonly (readonly Float32Array<ArrayBuffer>[])[];

  constructor(source: ImageSource, groups: readonly ViewGroup[], { batchSize, seed }: ViewOptions) {
    requireGroups(groups);
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
    return { images, parameters, epoch, examples, labels, placesBefore: this.#batches.placesBefore(step) };
  }

  [Symbol.dispose](): void {
    this.#batches[Symbol.dispose]();
  }
}
