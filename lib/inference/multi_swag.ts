/**
 * Priors learned by several chains as one.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { DeviceModel } from "../models/device_model.ts";
import { type MergedSwag, mergeSwag } from "../priors/merge.ts";
import type { Swag } from "../priors/swag.ts";
import type { LearnedPrior, LearnPriorOptions } from "./learn_prior.ts";
import { PredictionSession } from "./prediction.ts";

/** A prior of several chains. */
export interface MergedPrior extends LearnedPrior, Pick<MergedSwag, "kept" | "dropped"> {}

/** What merging needs of the options that the chains were learned with. */
export type MergeChainsOptions = Pick<
  LearnPriorOptions,
  "model" | "weights" | "train" | "batchSize" | "normalisation" | "precision" | "maxRank" | "compat"
>;

/**
 * Merges the priors of several chains by {@linkcode mergeSwag}, with equal weights, and recomputes BatchNorm's running
 * statistics for the mean of all. The head is the one that the chains began with.
 *
 * @param snapshots snapshots of all chains
 */
export async function mergeChains(
  gpu: Gpu,
  chains: readonly Swag[],
  snapshots: number,
  options: MergeChainsOptions,
): Promise<MergedPrior> {
  const merged = mergeSwag(chains, { maxRank: options.maxRank });
  const { train, batchSize, normalisation, precision, weights } = options;
  const model = new DeviceModel(gpu, options.model);
  try {
    model.write({ ...weights, backbone: merged.swag.mean });
    if (!options.compat) await PredictionSession.updateBatchNorm(model, train, { batchSize, normalisation, precision });
    return { ...merged, weights: await model.read(), snapshots };
  } finally {
    model.destroy();
  }
}
