/**
 * The views that the flags of `prior --objective` describe.
 *
 * @module
 */

import { MOST_VIEWS } from "../../lib/data/augmentation/draw.ts";
import type { View } from "../../lib/data/augmentation/view.ts";
import type { ViewGroup } from "../../lib/data/augmentation/view_source.ts";
import type { ImageFacts } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import { OBJECTIVE_NAMES, objectiveOf } from "../../lib/inference/objectives/objectives.ts";
import type { Flags } from "./prior.ts";

/** Least share of an image that a view shows, unless the flags say otherwise. */
const LEAST_SCALE = 0.08;
/** Largest share that a small one shows, unless the flags say otherwise. */
const SMALL_MOST_SCALE = 0.4;
/** SimCLR's share of an image's side that a blur spans. */
const BLUR_SHARE = 0.1;

/** The views that the flags describe: two large ones, and small ones where the objective takes them. */
export function viewsOf(flags: Flags, set: ImageFacts): ViewGroup[] {
  const large = largeView(flags, set), count = flags.numSmallCrops ?? 0;
  if (count === 0) return [[large, large]];
  const takers = OBJECTIVE_NAMES.filter((name) => objectiveOf(name).multiCrop);
  if (!takers.includes(flags.objective)) {
    throw new UsageError(
      `Cannot use --num-small-crops ${count} with --objective ${flags.objective}: ${takers.join(", ")} would take them`,
    );
  }
  if (count + 2 > MOST_VIEWS) {
    throw new UsageError(
      `Cannot use --num-small-crops ${count}: with the two large ones that makes ${count + 2} views of an image; at ` +
        `most ${MOST_VIEWS - 2} small ones are possible`,
    );
  }
  const side = flags.smallCropSize ?? Math.max(8, Math.round(large.height / 2));
  const scale = [flags.minScale ?? LEAST_SCALE, flags.smallMaxScale ?? SMALL_MOST_SCALE] as const;
  if (scale[0] > scale[1]) {
    throw new UsageError(
      `Cannot cut small views that show from ${scale[0]} to ${scale[1]} of an image: --min-scale ${
        scale[0]
      } must not be ` +
        `above --small-max-scale ${scale[1]}`,
    );
  }
  const small = { ...large, height: side, width: side, resize: { ...large.resize, scale }, blur: undefined };
  return [[large, large], Array(count).fill(small)];
}

function largeView(flags: Flags, { height, width }: ImageFacts) {
  const size = flags.cropSize === undefined ? { height, width } : { height: flags.cropSize, width: flags.cropSize };
  const kernel = Math.max(3, 2 * Math.round((BLUR_SHARE * size.height - 1) / 2) + 1);
  return {
    ...size,
    resize: {
      kind: "random-resized-crop",
      scale: [flags.minScale ?? LEAST_SCALE, 1],
      ratio: [3 / 4, 4 / 3],
      filter: "bicubic",
    },
    horizontalFlip: flags.horizontalFlipProb ?? 0.5,
    jitter: {
      probability: flags.colorJitterProb ?? 0.8,
      brightness: flags.brightness ?? 0.8,
      contrast: flags.contrast ?? 0.8,
      saturation: flags.saturation ?? 0.8,
      hue: flags.hue ?? 0.2,
    },
    grey: flags.grayScaleProb ?? 0.2,
    blur: { probability: flags.gaussianProb ?? 0.5, kernel, sigma: [0.1, 2] },
    solarise: { probability: flags.solarizationProb ?? 0, threshold: 128 / 255 },
  } satisfies View;
}
