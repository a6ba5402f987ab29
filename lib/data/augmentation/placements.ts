/**
 * Placements of training images as the device reads them.
 *
 * @module
 */

import { type Augmentation, type ImageSize, type Placement, preparedSize } from "../augment.ts";
import type { Box } from "../resize.ts";
import { turnOf } from "../rotate.ts";
import { halves, type WeightTable, weightTable } from "./table.ts";

/** Numbers of one image in the table. */
export const PLACEMENT_PARAMETERS = 17;

/** Size of the images that the device gets. */
export interface SourceSize extends ImageSize {
  /** They are boxes of sizes of their own, at most that, one behind another; see `lib/data/cut_box.ts`. */
  readonly packed?: boolean;
}

/** What the placements of one augmentation have in common. */
export interface PlacementPlan {
  /** Size after the resizing, of which a window is cut out. */
  readonly size: ImageSize;
  /** Weights of the resizing, for each size that a box may have; absent where nothing is resized. */
  readonly resize?: { readonly horizontal: WeightTable; readonly vertical: WeightTable };
  /** Whether images are turned. */
  readonly rotate: boolean;
}

/**
 * What the device does to images.
 *
 * @param size that they get
 * @param source the size that they have; another one only where a box of them is resized anyway, or where they are
 * prepared already
 */
export function planPlacements(augmentation: Augmentation, size: ImageSize, source: ImageSize = size): PlacementPlan {
  const prepared = preparedSize(size, augmentation), cropped = augmentation.kind === "resized-crop";
  const rotate = augmentation.kind === "rotated-crop";
  const ready = source.height === prepared.height && source.width === prepared.width;
  if (!cropped && (!rotate || ready)) return { size: prepared, rotate };
  const weights = (from: number, to: number) => weightTable(cropped ? 1 : from, from, to, "bilinear");
  return {
    size: prepared,
    resize: {
      horizontal: weights(source.width, prepared.width),
      vertical: weights(source.height, prepared.height),
    },
    rotate,
  };
}

/** An image of a batch: where it is, and what becomes of it. */
export interface PlacedImage {
  /** Its first byte in the batch. */
  readonly firstByte: number;
  /** Part of it that is resized. */
  readonly box: Box;
  /** Its size once it is resized or prepared: that of which a window is cut out. */
  readonly prepared: ImageSize;
  readonly placement: Omit<Placement, "box">;
}

/**
 * Writes the placement of image `row` of a batch into its row of the table: 0 image, 1 left, 2 top, 3 width, 4 height of
 * the box, 5 left and 6 top of the window, 7 flips (1 horizontal, 2 vertical); of the turn 8 cos, 9 sin, 10 back and,
 * above and below 16 bits, 11 and 12 x, 13 and 14 y; likewise 15 and 16 the image's first byte. All are whole numbers that
 * a float32 holds.
 *
 * @param table [rows, {@linkcode PLACEMENT_PARAMETERS}]
 */
export function writePlacement(
  table: Float32Array,
  row: number,
  { firstByte, box, prepared, placement }: PlacedImage,
): void {
  const { left, top, horizontalFlip, verticalFlip } = placement;
  const { cos, sin, back, x, y } = turnOf(prepared, placement.angle);
  const flips = (horizontalFlip ? 1 : 0) + (verticalFlip ? 2 : 0);
  table.set([row, box.left, box.top, box.width, box.height, left, top, flips], row * PLACEMENT_PARAMETERS);
  table.set(
    [cos, sin, back, ...halves(x), ...halves(y), ...halves(firstByte)],
    row * PLACEMENT_PARAMETERS + 8,
  );
}
