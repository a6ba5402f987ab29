/**
 * BYOL whose targets are the nearest earlier ones, as in NNCLR.
 *
 * @module
 */

import { byolLoss, byolPredictor, byolProjector, type ByolSettings } from "./byol.ts";
import { neighbourhood } from "./neighbours.ts";
import { keepOf, MOMENTUM, type Objective } from "./objective.ts";

/** NNBYOL with the original system's sizes. */
export const nnbyol: Objective<ByolSettings & { queueSize: number }> = {
  name: "nnbyol",
  defaults: { projHidden: 2048, projOut: 256, predHidden: 512, queueSize: 65536, ...MOMENTUM },
  momentum: { keep: (settings) => keepOf("nnbyol", settings), build: byolProjector },
  build(context, features, targets) {
    const { neighbours, update } = neighbourhood(context, targets!);
    const p = byolPredictor(context, byolProjector(context, features));
    return { loss: byolLoss(context.graph, p, neighbours), updates: [update] };
  },
};
