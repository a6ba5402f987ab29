/**
 * ONNX Runtime, an implementation of the format that is not ours, and our own forward pass on the same images.
 *
 * @module
 */

import ort from "npm:onnxruntime-node@1.16.3";
import { createImageSet, type ImageSet } from "../../lib/data/dataset.ts";
import { type Normalisation, NORMALISATIONS, normaliseImages } from "../../lib/data/normalisation.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { PredictionSession } from "../../lib/inference/prediction.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { DeviceModel, layoutModel, type ModelLayouts } from "../../lib/models/device_model.ts";
import { initialWeights, type Weights } from "../../lib/models/weights.ts";
import { PhiloxSequence } from "../../lib/random/philox.ts";

/** How the tests' images are normalised. */
export const NORMALISATION: Normalisation = NORMALISATIONS.imagenet;

/** Random images in bytes. */
export function randomImages(count: number, { height, width, numClasses }: ClassifierConfig): ImageSet {
  const random = new PhiloxSequence(7, 200);
  const images = Uint8Array.from({ length: count * height * width * 3 }, () => Math.floor(random.uniform() * 256));
  const classNames = Array.from({ length: numClasses }, (_, c) => `class ${c}`);
  return createImageSet({ name: "random", height, width, classNames, labels: new Uint32Array(count), images });
}

/** Values of [n, h, w, c] in the order of [n, c, h, w]. */
function channelsFirst(values: Float32Array, n: number): Float32Array {
  const pixels = values.length / (3 * n);
  return values.map((_, i) => {
    const image = Math.floor(i / (3 * pixels)), channel = Math.floor(i / pixels) % 3;
    return values[(image * pixels + i % pixels) * 3 + channel];
  });
}

/** Images as a file's input: normalised, or of range 0 to 1. */
export function inputOf({ images, labels }: ImageSet, normalisation?: Normalisation): Float32Array {
  const values = normalisation
    ? normaliseImages(images, normalisation)
    : Float32Array.from(images, (byte) => byte / 255);
  return channelsFirst(values, labels.length);
}

/** What ONNX Runtime computes with a file, given as bytes or as a path. */
export async function runOnnx(
  file: Uint8Array | string,
  input: Float32Array,
  shape: readonly number[],
): Promise<{ data: Float32Array; shape: readonly number[] }> {
  const options = { intraOpNumThreads: 1 };
  const session = typeof file === "string"
    ? await ort.InferenceSession.create(file, options)
    : await ort.InferenceSession.create(file, options);
  const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", input, [...shape]) });
  await session.release();
  const { data, dims } = outputs[session.outputNames[0]];
  return { data: data as Float32Array, shape: dims };
}

/** Our own logits. */
export async function ownLogits(
  gpu: Gpu,
  config: ClassifierConfig,
  weights: Weights,
  set: ImageSet,
  normalisation: Normalisation = NORMALISATION,
): Promise<Float32Array> {
  const model = new DeviceModel(gpu, config);
  model.write(weights);
  const options = { batchSize: set.labels.length, normalisation };
  const session = await PredictionSession.create(model, options);
  try {
    return await session.logits(set);
  } finally {
    session.destroy();
    model.destroy();
  }
}

/** Our own features: the logits of a head that leaves them as they are. */
export async function ownFeatures(
  gpu: Gpu,
  config: ClassifierConfig,
  { backbone, state }: Omit<Weights, "head">,
  set: ImageSet,
): Promise<Float32Array> {
  const matrix = layoutModel(config).head.entries.find(({ torchShape }) => torchShape.length > 1)!;
  const width = matrix.torchShape[1], same = { ...config, numClasses: width };
  const head = new Float32Array(layoutModel(same).head.count);
  for (let i = 0; i < width; i++) head[i * (width + 1)] = 1;
  return await ownLogits(gpu, same, { backbone, state, head }, set);
}

/** Fresh weights whose BatchNorms are as those of a trained network: every scale, shift and statistic its own. */
export function unevenWeights(config: ClassifierConfig, seed = 1): Weights {
  const layouts: ModelLayouts = layoutModel(config), weights = initialWeights(layouts, seed);
  const random = new PhiloxSequence(2 + seed, 201);
  const jitter = (values: Float32Array) => values.forEach((value, i) => values[i] = value + random.uniform() / 2 - 0.1);
  jitter(weights.state);
  for (const { torchShape, torchOffset, size } of layouts.backbone.entries) {
    if (torchShape.length === 1) jitter(weights.backbone.subarray(torchOffset, torchOffset + size));
  }
  return weights;
}
