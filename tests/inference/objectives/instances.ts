/**
 * A measure of what comparing views teaches within seconds: whether features tell held-out procedural images apart, however
 * they are cropped and coloured.
 *
 * @module
 */

import { drawView } from "../../../lib/data/augmentation/draw.ts";
import type { View } from "../../../lib/data/augmentation/view.ts";
import { createImageSet, type ImageSet } from "../../../lib/data/dataset.ts";
import { NORMALISATIONS } from "../../../lib/data/normalisation.ts";
import { proceduralSource } from "../../../lib/data/procedural.ts";
import { takeExamples } from "../../../lib/data/subset.ts";
import { neighbourAccuracy } from "../../../lib/inference/nearest_neighbours.ts";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { FeatureSession } from "../../../lib/inference/features.ts";
import { PredictionSession } from "../../../lib/inference/prediction.ts";
import type { ClassifierConfig } from "../../../lib/models/classifier.ts";
import { DeviceModel } from "../../../lib/models/device_model.ts";
import type { Weights } from "../../../lib/models/weights.ts";
import { augmented } from "../../reference/augmentation.ts";
import { tensor } from "../../reference/tensor.ts";

/** SimCLR's views, with crops that keep most of the object. */
export const VIEW: View = {
  height: 32,
  width: 32,
  resize: { kind: "random-resized-crop", scale: [0.3, 1], ratio: [3 / 4, 4 / 3], filter: "bilinear" },
  horizontalFlip: 0.5,
  jitter: { probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.05 },
  blur: { probability: 0.2, kernel: 3, sigma: [0.1, 1] },
};

export const NETWORK: ClassifierConfig = { encoder: "resnet8_narrow", numClasses: 8, height: 32, width: 32 };

const NORMALISATION = NORMALISATIONS.imagenet;
const UNCHANGED = { mean: [0, 0, 0], std: [1, 1, 1] } as const;

/** Images to learn from. */
export function trainingImages(): ImageSet {
  return proceduralSource({ seed: 1, perClass: 16 });
}

/** The first images of a set. */
export function firstOf(set: ImageSet, count: number): ImageSet {
  return takeExamples(set, Uint32Array.from({ length: count }, (_, example) => example));
}

/** `views` views of each of `count` images that are not learned from; the label is the image. */
function instances(count: number, views: number, step: number): ImageSet {
  const set = proceduralSource({ seed: 1, perClass: Math.ceil(count / 24), split: "val" });
  const pixels = set.height * set.width * 3, images = new Uint8Array(count * views * pixels);
  for (let row = 0; row < count * views; row++) {
    const example = row % count, view = Math.floor(row / count);
    const image = tensor([set.height, set.width, 3], set.images.subarray(example * pixels, (example + 1) * pixels));
    const { data } = augmented(image, VIEW, drawView(VIEW, set, { seed: 2, step, example, view }), UNCHANGED);
    images.set(data.map((x) => Math.round(255 * x)), row * pixels);
  }
  return createImageSet({
    name: "instances",
    height: set.height,
    width: set.width,
    classNames: Array.from({ length: count }, (_, i) => `image ${i}`),
    labels: Uint32Array.from({ length: count * views }, (_, row) => row % count),
    images,
  });
}

/** Made once: of all that is measured these take longest. */
let made: { readonly bank: ImageSet; readonly queries: ImageSet } | undefined;

/** Accuracy of nearest neighbours, by the features that these weights make: of 48 images, by 6 views of each. */
export async function instanceAccuracy(gpu: Gpu, weights: Weights): Promise<number> {
  const { bank, queries } = made ??= { bank: instances(48, 6, 0), queries: instances(48, 4, 1) };
  const options = { batchSize: 48, normalisation: NORMALISATION };
  const model = new DeviceModel(gpu, NETWORK);
  model.write(weights);
  // Random weights have no statistics of their own: both sides get those of the same images.
  await PredictionSession.updateBatchNorm(model, bank, options);
  const session = await FeatureSession.create(model, options);
  try {
    return await neighbourAccuracy(
      gpu,
      { features: await session.features(bank), labels: bank.labels },
      { features: await session.features(queries), labels: queries.labels },
      { numClasses: 48, neighbours: 6 },
    );
  } finally {
    session.destroy();
    model.destroy();
  }
}
