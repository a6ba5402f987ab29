/**
 * SimSiam whose targets are the nearest earlier ones, as in NNCLR.
 *
 * @module
 */

import { neighbourhood } from "./neighbours.ts";
import type { Objective } from "./objective.ts";
import { simsiamLoss, simsiamPredictor, simsiamProjector, type SimsiamSettings } from "./simsiam.ts";

/** NNSiam with the original system's sizes. */
export const nnsiam: Objective<SimsiamSettings & { queueSize: number }> = {
  name: "nnsiam",
  defaults: { projHidden: 2048, projOut: 128, predHidden: 512, queueSize: 65536 },
  build(context, features) {
    const z = simsiamProjector(context, features);
    const { neighbours, update } = neighbourhood(context, z);
    return { loss: simsiamLoss(context.graph, simsiamPredictor(context, z), neighbours), updates: [update] };
  },
};
