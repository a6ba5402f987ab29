/**
 * Reading weights that are to be kept.
 *
 * @module
 */

import { DivergedError } from "../errors.ts";
import type { DeviceModel } from "../models/device_model.ts";
import type { Weights } from "../models/weights.ts";

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
