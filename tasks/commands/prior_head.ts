/**
 * A Gaussian over the head beside the backbone's: `prior --head-laplace diagonal|kronecker`.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { LastLayerLaplace } from "../../lib/inference/last_layer.ts";
import { fitLastLayer } from "../../lib/inference/last_layer_fit.ts";
import { DeviceModel } from "../../lib/models/device_model.ts";
import type { Weights } from "../../lib/models/weights.ts";
import type { HeadPrior } from "../../lib/priors/head_gaussian.ts";
import type { FlagTable } from "../cli/flags.ts";
import type { Flags } from "./prior.ts";
import type { PriorTask } from "./prior_learning.ts";
import { normalisationOf } from "./treatment.ts";

/** Which approximation of the last layer, and its prior. */
export const HEAD_FLAGS = {
  headLaplace: {
    type: "choice",
    choices: ["none", "diagonal", "kronecker"],
    default: "none",
    group: "Method",
    help: "Laplace's approximation of the last layer too, for infer --head-prior learned on the same classes",
  },
  headPrecision: {
    type: "number",
    min: 0,
    group: "Method",
    help: "precision of the last layer before the source task; the one of largest evidence unless given",
  },
} as const satisfies FlagTable;

/**
 * Refuses a head's posterior where there is no head to have one, and a precision that none has.
 *
 * @throws UsageError
 */
export function requireHeadFlags({ headLaplace, headPrecision, method, objective, chains, format }: Flags): void {
  const refuse = (why: string) => {
    throw new UsageError(`Cannot use ${why}`);
  };
  if (headLaplace === "none") {
    if (method === "last-layer") refuse("--method last-layer without a last layer's posterior: give --head-laplace");
    if (headPrecision !== undefined) {
      refuse("--head-precision without --head-laplace: diagonal or kronecker is required");
    }
    return;
  }
  if (headPrecision === 0) refuse("--head-precision 0: a positive number is required");
  if (objective !== "supervised") {
    refuse(`--head-laplace with --objective ${objective}: it trains no head, and --objective supervised is required`);
  }
  if (chains > 1) {
    refuse(
      `--head-laplace with --chains ${chains}: the chains' mean has no head of its own, and one chain is required`,
    );
  }
  if (format === "parts") {
    refuse("--head-laplace with --format parts: four files have no place for a head; safetensors is required");
  }
}

/** A head's prior, and how it was found. */
export interface LearnedHead {
  readonly prior: HeadPrior;
  readonly fitted: LastLayerLaplace;
}

/** The posterior of the last layer of a network on the source task; `undefined` where none is asked for. */
export async function learnHead(
  gpu: Gpu,
  { headLaplace, headPrecision, batchSize }: Flags,
  { classifier, train, data }: PriorTask,
  weights: Weights,
): Promise<LearnedHead | undefined> {
  if (headLaplace === "none") return undefined;
  const model = new DeviceModel(gpu, classifier);
  try {
    model.write(weights);
    const fitted = await fitLastLayer(model, train, {
      curvature: headLaplace,
      precision: headPrecision,
      batchSize: Math.min(batchSize, train.labels.length),
      normalisation: normalisationOf(data),
    });
    return { prior: { ...fitted.gaussian(), classNames: train.classNames }, fitted };
  } finally {
    model.destroy();
  }
}
