/**
 * What the demo spends: its sizes are what two CPU cores do within six minutes.
 *
 * @module
 */

import type { Budget } from "./rivals.ts";

/** Labels in all, over 10 classes, at which all seeds are run. */
export const TABLE_LABELS = 100;
/** Steps of SGD on the source task while the prior is learned. */
export const PRIOR_STEPS = 70;
/** Of every rival. */
export const BUDGET: Budget = { steps: 80, batchSize: 25, samples: 6, cycles: 2 };
