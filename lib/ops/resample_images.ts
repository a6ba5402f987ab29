/**
 * Antialiased resizing of boxes of uint8 images on the device.
 *
 * @module
 */

import resampleSource from "../../kernels/resample_images.wgsl" with { type: "text" };
import { loop } from "./elementwise.ts";
import { type Dispatch, scratch, type Tensor } from "./operation.ts";

/** Pixels of one position that an invocation makes: their weights are loaded once. */
const LINES = 8;

/** A resizing along one axis: its weights for each size that a box may have. */
export interface AxisWeights {
  /** int32 [sizes, to, 2 + taps]: first input pixel, number of weights, weights of 22 fractional bits. */
  readonly weights: Tensor;
  /** Size of the first entry; the others follow one by one. */
  readonly firstFrom: number;
}

/** Both axes of a resizing. */
export interface ImageResizing {
  /** From columns to columns. */
  readonly horizontal: AxisWeights;
  /** From rows to rows. */
  readonly vertical: AxisWeights;
}

/**
 * Resizes a box of each image as Pillow does, to the byte.
 *
 * @param images uint8 [B, H, W, 3], four to a word; or room for boxes of at most H x W, one behind another
 * @param parameters [N, 5 or more]: image, left, top, width and height of the box, ...
 * @param firstByte which two parameters say where a box begins, above and below 16 bits, where boxes are all that there is
 * @returns [N, newHeight, newWidth] with a pixel in each word, and the launches that make it
 */
export function resampleImages(
  name: string,
  images: Tensor,
  parameters: Tensor,
  { horizontal, vertical }: ImageResizing,
  firstByte?: number,
): { output: Tensor; dispatches: Dispatch[] } {
  const [, h, w] = images.shape, n = parameters.shape[0];
  const newWidth = horizontal.weights.shape[1], newHeight = vertical.weights.shape[1];
  const rows = scratch(`${name} resized rows`, [n, h, newWidth]);
  const output = scratch(`${name} resized`, [n, newHeight, newWidth]);
  const pass = (label: string, axis: AxisWeights, from: Tensor, into: Tensor, vertical: boolean) => {
    const blocks = Math.ceil((vertical ? newWidth : h) / LINES), to = axis.weights.shape[1];
    return loop({
      label: `${name} ${label}`,
      source: resampleSource,
      count: n * to * blocks,
      items: 1,
      constants: {
        VERTICAL: vertical ? 1 : 0,
        LINES,
        BLOCKS: blocks,
        APART: vertical ? blocks : 1,
        PARAMETERS: parameters.shape[1],
        SOURCE_H: h,
        SOURCE_W: w,
        ROW_LENGTH: newWidth,
        FIRST_FROM: axis.firstFrom,
        TO: to,
        TAPS: axis.weights.shape[2] - 2,
        PACKED: firstByte === undefined ? 0 : 1,
        FIRST_BYTE: firstByte ?? 0,
      },
      bindings: [from, parameters, axis.weights, into],
    });
  };
  const dispatches = [
    pass("resize rows", horizontal, images, rows, false),
    pass("resize columns", vertical, rows, output, true),
  ];
  return { output, dispatches };
}
