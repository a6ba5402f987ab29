/**
 * Predictions of a checkpoint whose last layer is uncertain: `evaluate --laplace`.
 *
 * @module
 */

import { type ImageSource, isStream } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import { FeatureSession } from "../../lib/inference/features.ts";
import { LastLayerLaplace } from "../../lib/inference/last_layer.ts";
import { type PredictionOptions, PredictionSession } from "../../lib/inference/prediction.ts";
import type { DeviceModel } from "../../lib/models/device_model.ts";
import { DATA_FLAGS } from "../cli/flag_groups.ts";
import type { FlagTable, FlagValues } from "../cli/flags.ts";

/** Which approximation, fitted to which images. */
export const LAPLACE_FLAGS = {
  laplace: {
    type: "choice",
    choices: ["none", "diagonal", "kronecker"],
    default: "none",
    group: "Laplace",
    help: "a posterior of the checkpoint's last layer, and its predictions in place of the checkpoint's",
  },
  laplacePrecision: {
    type: "number",
    min: 0,
    group: "Laplace",
    help: "precision of the last layer's prior; the one of largest evidence unless given",
  },
  trainDataset: {
    type: "string",
    value: "NAME",
    group: "Laplace",
    help: "set that the network was trained on; the evaluated set's name unless given",
  },
  trainDir: { ...DATA_FLAGS.trainDir, group: "Laplace" },
  numOfTrainExamples: {
    ...DATA_FLAGS.numOfTrainExamples,
    group: "Laplace",
    help: "fit to that many training images, drawn by --seed, as many of each class; all unless given",
  },
} as const satisfies FlagTable;

type Flags = FlagValues<typeof LAPLACE_FLAGS>;

/**
 * Refuses flags of the approximation where there is none.
 *
 * @throws UsageError that names the first of them
 */
export function requireLaplaceFlags(flags: Flags): void {
  if (flags.laplace !== "none") return;
  for (const name of ["laplacePrecision", "trainDataset", "trainDir", "numOfTrainExamples"] as const) {
    if (flags[name] === undefined) continue;
    const spelt = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new UsageError(`Cannot use --${spelt} without --laplace: --laplace diagonal or kronecker is required`);
  }
}

/** Probabilities, and what they follow from. */
export interface LaplacePrediction {
  /** [n, C] */
  readonly probabilities: Float64Array;
  readonly fitted: LastLayerLaplace;
}

/** Fits the last layer's posterior to `train` and predicts `set`. */
export async function predictLaplace(
  model: DeviceModel,
  { train, set }: { readonly train: ImageSource; readonly set: ImageSource },
  { laplace, laplacePrecision }: Flags,
  options: PredictionOptions,
): Promise<LaplacePrediction> {
  const { numClasses } = model.config;
  if (laplace === "none") throw new RangeError("Cannot fit no posterior: diagonal or kronecker is required");
  const features = await FeatureSession.create(model, options), logits = await PredictionSession.create(model, options);
  try {
    const { head } = await model.read();
    const of = async (images: ImageSource) => ({
      features: await features.features(inMemory(images)),
      logits: await logits.logits(images),
    });
    const fitted = LastLayerLaplace.fit({ ...await of(train), head, numClasses }, {
      curvature: laplace,
      precision: laplacePrecision,
    });
    const found = await of(set);
    return { probabilities: fitted.predict(found.features, found.logits), fitted };
  } finally {
    features.destroy();
    logits.destroy();
  }
}

function inMemory(set: ImageSource) {
  if (!isStream(set)) return set;
  throw new RangeError(
    `Cannot take features of ${set.name}: its ${set.labels.length} images are too many for memory, and ones that fit ` +
      "are required; use fewer (--num-of-train-examples) or smaller ones (--image-size)",
  );
}
