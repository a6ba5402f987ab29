/**
 * Draws and weights of views as the device reads them.
 *
 * @module
 */

import { type Filter, resampleWeights, tapsOf } from "../resample_weights.ts";
import type { ImageSize } from "../augment.ts";
import type { ColourChange, View, ViewDraw } from "./view.ts";

/** Numbers of one image in the table of parameters. */
export const VIEW_PARAMETERS = 24;

const CHANGE_NUMBERS: Readonly<Record<ColourChange["kind"], number>> = {
  brightness: 1,
  contrast: 2,
  saturation: 3,
  hue: 4,
};
/** Above every pixel. */
const NO_THRESHOLD = 2;

/**
 * Writes a draw into row `row` of the table:
 * 0 image, 1 left, 2 top, 3 width, 4 height of the box, 5 left and 6 top of the window, 7 flips (1 horizontal, 2
 * vertical), 8 cosine and 9 sine of the rotation, 10 grey, 11 threshold, 12 sigma, 13-16 changes of colour in their
 * order, 17-20 their factors; above and below 16 bits, 21 and 22 the box's first byte, where boxes are all that there is.
 *
 * @param table [rows, {@linkcode VIEW_PARAMETERS}]
 * @param image row of the batch that the image is made of
 */
export function writeDraw(table: Float32Array, row: number, image: number, draw: ViewDraw, firstByte = 0): void {
  const { box, changes } = draw, angle = draw.angle * Math.PI / 180;
  const values = table.subarray(row * VIEW_PARAMETERS, (row + 1) * VIEW_PARAMETERS);
  values.fill(0);
  values.set([image, box.left, box.top, box.width, box.height, draw.left, draw.top]);
  values[7] = (draw.horizontalFlip ? 1 : 0) + (draw.verticalFlip ? 2 : 0);
  values[8] = Math.cos(angle);
  values[9] = Math.sin(angle);
  values[10] = draw.grey ? 1 : 0;
  values[11] = draw.threshold ?? NO_THRESHOLD;
  values[12] = draw.sigma;
  changes.forEach(({ kind, factor }, order) => {
    values[13 + order] = CHANGE_NUMBERS[kind];
    values[17 + order] = factor;
  });
  values.set(halves(firstByte), 21);
}

/** What is above and below 16 bits: a float32 holds either. */
export function halves(value: number): [number, number] {
  const above = Math.floor(value / 65536);
  return [above, value - above * 65536];
}

/** Weights of a resizing along one axis, for each size that a box may have. */
export interface WeightTable {
  /** [sizes, to, 2 + taps]: first input pixel, number of weights, weights. */
  readonly shape: readonly [number, number, number];
  readonly values: Int32Array<ArrayBuffer>;
  /** The first of the sizes. */
  readonly firstFrom: number;
}

/** The weights from every size within `least` and `most` to `to` pixels. */
export function weightTable(least: number, most: number, to: number, filter: Filter): WeightTable {
  const stride = 2 + tapsOf(most, to, filter), sizes = most - least + 1;
  const values = new Int32Array(sizes * to * stride);
  for (let size = least; size <= most; size++) {
    const { taps, first, count, values: weights } = resampleWeights(size, to, filter);
    for (let position = 0; position < to; position++) {
      const at = ((size - least) * to + position) * stride;
      values[at] = first[position];
      values[at + 1] = count[position];
      values.set(weights.subarray(position * taps, position * taps + count[position]), at + 2);
    }
  }
  return { shape: [sizes, to, stride], values, firstFrom: least };
}

/** Both axes' weights of a view of images of that size; `undefined` where nothing is resized. */
export function viewWeights(
  { resize, height, width }: View,
  size: ImageSize,
): { readonly horizontal: WeightTable; readonly vertical: WeightTable } | undefined {
  if (resize === undefined) return undefined;
  const random = resize.kind === "random-resized-crop";
  const to = resize.kind === "whole" ? resize : { height, width };
  return {
    horizontal: weightTable(random ? 1 : size.width, size.width, to.width, resize.filter),
    vertical: weightTable(random ? 1 : size.height, size.height, to.height, resize.filter),
  };
}
