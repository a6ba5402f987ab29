/**
 * What views are made of.
 *
 * @module
 */

import type { ImageSize } from "../augment.ts";
import { largestBox } from "../cut_box.ts";
import { type ImageSource, isStream, wholeSetOf } from "../dataset.ts";
import type { SourceSize } from "./placements.ts";
import type { View } from "./view.ts";

/** Views that run as one batch: they have one size, and resize, rotate and blur alike. */
export type ViewGroup = readonly View[];

/** Size of the images that all views are cut out of; or each view has the box to itself that it is made of. */
export type ViewSource = ImageSize | "boxes";

/**
 * Where the images of a source are that views are made of. Where all views are cut out at random, that is the whole images,
 * as in torchvision: in memory, or only the boxes of them. Any other views are made of the images as they are fitted.
 */
export function viewImages(source: ImageSource, groups: readonly ViewGroup[]): ImageSource | "boxes" {
  const random = groups.flat().every(({ resize }) => resize?.kind === "random-resized-crop");
  return isStream(source) && random ? wholeSetOf(source) ?? "boxes" : source;
}

/** What the views of a source are made of, as {@linkcode viewImages} says. */
export function viewSource(source: ImageSource, groups: readonly ViewGroup[]): ViewSource {
  const images = viewImages(source, groups);
  return images === "boxes" ? images : { height: images.height, width: images.width };
}

/** Room for what the views of a group are made of, and whether that is boxes of sizes of their own. */
export function roomOf(source: ViewSource, [view]: ViewGroup): SourceSize {
  return source === "boxes" ? largestBox(view) : source;
}
