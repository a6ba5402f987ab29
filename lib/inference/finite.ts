/**
 * Reading weights that are to be kept.
 *
 * @module
 */

import { DivergedError } from "../errors.ts";
import type { DeviceModel } from "../models/device_model.ts";
import type { Weights } from "../models/weights.ts";
import type { SubspaceCollector } from "../priors/subspace/collector.ts";
import type { Swag } from "../priors/swag.ts";

/**
 * Weights after a step; a step's loss is that before its update, so these may be the first that are not finite.
 *
 * @throws DivergedError where a weight or a running statistic is not finite
 */
export async function readFinite(model: DeviceModel, step: number): Promise<Weights> {
  const weights = await model.read();
  for (const values of [weights.backbone, weights.head, weights.state]) {
    const bad = values.find((value) => !Number.isFinite(value));
    if (bad === undefined) continue;
    throw new DivergedError(
      `Cannot go on training: a weight after step ${step} is ${bad}, but a finite one is required; ` +
        "use a smaller learning rate",
    );
  }
  return weights;
}

/**
 * What was collected, which is to become a prior.
 *
 * @throws DivergedError where a mean or a variance is not finite
 */
export async function readFiniteSwag(collector: SubspaceCollector): Promise<Swag> {
  const swag = await collector.read();
  const bad = swag.mean.findIndex((value, i) => !Number.isFinite(value + swag.variance[i]));
  if (bad < 0) return swag;
  throw new DivergedError(
    `Cannot learn a prior: the mean of weight ${bad} is ${swag.mean[bad]} and its variance ${
      swag.variance[bad]
    }, but finite ones are required; use a smaller learning rate`,
  );
}
