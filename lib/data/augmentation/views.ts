/**
 * Views of the examples of a step.
 *
 * @module
 */

import { BatchSequence } from "../batches.ts";
import type { ImageSet } from "../dataset.ts";
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
  /** [B]: where each example stood in the pass before, as {@linkcode BatchSequence.placesBefore} says. */
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

/** Views of a training run, by step: a pure function of the set, the views, the seed and the step. */
export class ViewSequence {
  /** Examples in every batch: the batch size asked for, or the size of the set if that is smaller. */
  readonly batchSize: number;
  /** Batches in an epoch, at least 1. */
  readonly stepsPerEpoch: number;
  readonly #set: ImageSet;
  readonly #seed: number;
  readonly #groups: readonly ViewGroup[];
  readonly #batches: BatchSequence;
  readonly #tables: readonly (readonly Float32Array<ArrayBuffer>[])[];

  /**
   * Views of a set, by group.
   *
   * @throws {RangeError} if the views of a group differ in what they must share
   */
  constructor(
    set: ImageSet,
    groups: readonly ViewGroup[],
    { batchSize, seed }: { readonly batchSize: number; readonly seed: number },
  ) {
    requireGroups(groups);
    this.#batches = new BatchSequence(set, { batchSize, seed });
    this.batchSize = this.#batches.batchSize;
    this.stepsPerEpoch = this.#batches.stepsPerEpoch;
    this.#set = set;
    this.#seed = seed;
    this.#groups = groups;
    // Two, used in turn, as the images are.
    this.#tables = [0, 1].map(() =>
      groups.map((group) => new Float32Array(group.length * this.batchSize * VIEW_PARAMETERS))
    );
  }

  /** The batch of a global step, from 0. */
  batchAt(step: number): ViewBatch {
    const { images, examples, epoch } = this.#batches.batchAt(step);
    const parameters = this.#tables[step % 2];
    let view = 0;
    this.#groups.forEach((group, index) => {
      group.forEach((config, place) => {
        examples.forEach((example, row) => {
          const draw = drawView(config, this.#set, { seed: this.#seed, step, example, view });
          writeDraw(parameters[index], place * this.batchSize + row, row, draw);
        });
        view++;
      });
    });
    return { images, parameters, epoch, examples, placesBefore: this.#batches.placesBefore(step) };
  }
}
