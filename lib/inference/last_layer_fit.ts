/**
 * Laplace's approximation of a network's last layer, by the images that the network was trained on.
 *
 * @module
 */

import type { ImageSource } from "../data/dataset.ts";
import type { DeviceModel } from "../models/device_model.ts";
import { FeatureSession } from "./features.ts";
import { headLogits, LastLayerLaplace, type LastLayerOptions } from "./last_layer.ts";
import type { PredictionOptions } from "./prediction.ts";

/** Features and logits of images by a network whose last layer is linear. */
export interface HeadInputs {
  /** [n, F] */
  readonly features: Float32Array;
  /** [n, C] */
  readonly logits: Float32Array;
}

/** Features of a set, and the logits that the model's head makes of them in float64. Waits for the device. */
export async function headInputs(session: FeatureSession, model: DeviceModel, set: ImageSource): Promise<HeadInputs> {
  const features = await session.features(set), { head } = await model.read();
  return { features, logits: headLogits(features, head, model.config.numClasses) };
}

/**
 * Fits {@linkcode LastLayerLaplace} to a model and its training images, as the model sees them in evaluation.
 *
 * @param model its head is a weight [C, F] and a bias [C]
 * @throws RangeError where features would not fit into memory, or the precision is not positive
 */
export async function fitLastLayer(
  model: DeviceModel,
  train: ImageSource,
  options: LastLayerOptions & Pick<PredictionOptions, "batchSize" | "normalisation">,
): Promise<LastLayerLaplace> {
  const { batchSize, normalisation, curvature, precision } = options;
  const session = await FeatureSession.create(model, { batchSize, normalisation });
  try {
    const { head } = await model.read();
    return LastLayerLaplace.fit({
      ...await headInputs(session, model, train),
      head,
      numClasses: model.config.numClasses,
    }, { curvature, precision });
  } finally {
    session.destroy();
  }
}
