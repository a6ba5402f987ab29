/**
 * Predictions of a checkpoint whose last layer is uncertain: `evaluate --laplace`.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import { FeatureSession } from "../../lib/inference/features.ts";
import type { LastLayerLaplace } from "../../lib/inference/last_layer.ts";
import { fitLastLayer, headInputs } from "../../lib/inference/last_layer_fit.ts";
import type { PredictionOptions } from "../../lib/inference/prediction.ts";
import type { DeviceModel } from "../../lib/models/device_model.ts";
import { type ClassifierConfig, onnxNetworkOf } from "../../lib/models/network.ts";
import { describe } from "../../lib/onnx/model.ts";
import { DATA_FLAGS } from "../cli/flag_groups.ts";
import type { FlagTable, FlagValues } from "../cli/flags.ts";
import { refuseUnread } from "../cli/unread_flags.ts";
import { loadFitted } from "./inputs.ts";
import type { DataFlags } from "./treatment.ts";

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
 * Refuses flags of the approximation where there is none, and a precision that no posterior has.
 *
 * @throws UsageError that names the first of them
 */
export function requireLaplaceFlags(flags: Flags): void {
  if (flags.laplace !== "none") {
    if (flags.laplacePrecision !== 0) return;
    throw new UsageError("Cannot use --laplace-precision 0: a positive number is required");
  }
  const { laplace: _, ...table } = LAPLACE_FLAGS;
  refuseUnread(table, flags, Object.keys(table), "without --laplace: --laplace diagonal or kronecker is required");
}

/** Probabilities, and what they follow from. */
export interface LaplacePrediction {
  /** [n, C] */
  readonly probabilities: Float64Array;
  readonly fitted: LastLayerLaplace;
}

/** What a last layer's posterior is fitted to, and what is predicted by it. */
export interface LaplaceSets {
  readonly train: ImageSource;
  readonly set: ImageSource;
}

/**
 * `set` and the images that the network was trained on, as it sees them in evaluation: of the size of `set`, unchanged.
 *
 * @throws TypeError where their classes are not as many as those of `set`
 */
export async function loadSets(flags: DataFlags, seed: number, set: ImageSource): Promise<LaplaceSets> {
  const train = await loadFitted({ ...flags, imageSize: set.height }, seed);
  if (train.classNames.length !== set.classNames.length) {
    throw new TypeError(
      `Cannot fit a last layer to ${train.name}: it has ${train.classNames.length} classes, but the network tells ` +
        `${set.classNames.length} apart; --train-dataset is to name the set that it was trained on`,
    );
  }
  return { train, set };
}

/**
 * Refuses a network whose logits are not a weight [classes, features] times its features, plus a bias.
 *
 * @param flag that asks for a posterior of them
 * @throws UsageError
 */
export function requireLinearHead(config: ClassifierConfig, flag = "--laplace"): void {
  const network = onnxNetworkOf(config);
  if (network === undefined) return;
  const { model, head: { node, classAxis, bias } } = network;
  if (node.operator === "Gemm" && classAxis === 0 && bias !== undefined && node.outputs[0] === model.output) return;
  throw new UsageError(
    `Cannot use ${flag} with ${config.encoder}: its last layer is ${describe(node)}; a linear layer with a bias that ` +
      "gives the logits is required",
  );
}

/** Fits the last layer's posterior to `train` and predicts `set`. */
export async function predictLaplace(
  model: DeviceModel,
  { train, set }: LaplaceSets,
  { laplace, laplacePrecision }: Flags,
  options: PredictionOptions,
): Promise<LaplacePrediction> {
  if (laplace === "none") throw new RangeError("Cannot fit no posterior: diagonal or kronecker is required");
  const { batchSize, normalisation } = options;
  const fitted = await fitLastLayer(model, train, {
    batchSize,
    normalisation,
    curvature: laplace,
    precision: laplacePrecision,
  });
  const session = await FeatureSession.create(model, options);
  try {
    const { features, logits } = await headInputs(session, model, set);
    return { probabilities: fitted.predict(features, logits), fitted };
  } finally {
    session.destroy();
  }
}
