/**
 * The problem that all systems of the bench train on, made from a seed.
 *
 * @module
 */

import { NORMALISATIONS, normaliseImages } from "../../lib/data/normalisation.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { PhiloxSequence, Stream } from "../../lib/random/philox.ts";
import type { Problem } from "./peers/peer.ts";

/** Seed of weights, images and labels. */
const SEED = 1;
const NUM_CLASSES = 10;

/** Normalisation of the images, by name. */
export const NORMALISATION = NORMALISATIONS.imagenet;

/** The network of a problem. */
export function configOf({ encoder, size, numClasses }: Problem): ClassifierConfig {
  return { encoder, numClasses, height: size, width: size };
}

/**
 * A batch of random images and labels, and fresh weights.
 *
 * @param size rows and columns of an image
 */
export function makeProblem(encoder: string, batchSize: number, size: number): Problem {
  const layouts = layoutModel({ encoder, numClasses: NUM_CLASSES, height: size, width: size });
  const { backbone, head } = initialWeights(layouts, SEED);
  const weights = new Float32Array(backbone.length + head.length);
  weights.set(backbone);
  weights.set(head, backbone.length);
  const random = new PhiloxSequence(SEED, Stream.init, 3);
  const bytes = Uint8Array.from({ length: batchSize * size * size * 3 }, () => Math.floor(256 * random.uniform()));
  return {
    encoder,
    batchSize,
    size,
    numClasses: NUM_CLASSES,
    bytes,
    images: new Float32Array(normaliseImages(bytes, NORMALISATION)),
    labels: Uint32Array.from({ length: batchSize }, () => Math.floor(NUM_CLASSES * random.uniform())),
    parameters: [layouts.backbone, layouts.head].flatMap(({ entries }) =>
      entries.map(({ name, torchShape }) => ({ name, shape: torchShape }))
    ),
    weights,
    learningRate: 0.05,
    momentum: 0.9,
  };
}
