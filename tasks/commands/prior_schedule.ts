/**
 * What the flags of `prior` say of learning rates and snapshots: pre-training, then SWAG.
 *
 * @module
 */

import { pretraining } from "../../lib/inference/pretraining.ts";
import type { Schedule } from "../../lib/inference/schedules.ts";
import { constantSwag, cyclicalSwag } from "../../lib/inference/swag_schedules.ts";
import type { Flags } from "./prior.ts";

/**
 * Learning rates and snapshots, by the steps of an epoch. `--epochs` and `--max-steps` say how long snapshots are taken:
 * were pre-training to count, `--max-steps` would leave no step for them.
 */
export function scheduleOf(flags: Flags, stepsPerEpoch: number): Schedule {
  const epochs = flags.pretrainEpochs ?? 0;
  return pretraining({
    learningRate: flags.lr ?? 0.1,
    steps: epochs * stepsPerEpoch,
    warmup: (flags.warmupEpochs ?? Math.round(epochs / 10)) * stepsPerEpoch,
  }, swagOf(flags, stepsPerEpoch));
}

function swagSteps({ maxSteps = Infinity, epochs }: Flags, stepsPerEpoch: number): number {
  return Math.min(maxSteps, epochs * stepsPerEpoch);
}

/** Snapshots that the cyclic schedule has room for: one a step, from its first one on. */
function roomFor({ startSwag }: Flags, steps: number): number {
  return Math.max(1, steps - Math.max(1, startSwag) + 1);
}

/** What to say where there is no room for the snapshots that are asked for. */
export function snapshotRemarks(flags: Flags, stepsPerEpoch: number): string[] {
  const steps = swagSteps(flags, stepsPerEpoch), room = roomFor(flags, steps);
  if (flags.swagScheduler !== "cyclic" || room >= flags.nSamples) return [];
  return [`${room} snapshots, not the ${flags.nSamples} of --n-samples: one a step, and ${steps} steps are taken`];
}

function swagOf(flags: Flags, stepsPerEpoch: number): Schedule {
  const steps = swagSteps(flags, stepsPerEpoch);
  const learningRate = flags.swaLrs, start = Math.max(1, flags.startSwag);
  if (flags.swagScheduler === "constant") {
    const annealing = flags.annealFrom === undefined
      ? undefined
      : { from: flags.annealFrom, steps: flags.annealingEpochs * stepsPerEpoch };
    return constantSwag({ learningRate, steps, start, interval: flags.intervalSteps, annealing });
  }
  const samples = Math.min(flags.nSamples, roomFor(flags, steps));
  const compat = flags.compat ? { epochs: flags.epochs, stepsPerEpoch } : undefined;
  return cyclicalSwag({ learningRate, steps, start, cycles: flags.nCycles ?? samples, samples, compat });
}

/**
 * Refuses a schedule that takes too few snapshots for a covariance: the training would tell only at its end.
 *
 * @throws RangeError where they are fewer than two
 */
export function requireSnapshots(schedule: Schedule): void {
  let count = 0;
  for (let step = 0; step < schedule.steps && count < 2; step++) if (schedule.collect(step)) count++;
  if (count === 2) return;
  throw new RangeError(
    `Cannot learn a prior from ${count} snapshots in ${schedule.steps} steps: at least 2 are required; take more steps ` +
      "(--epochs, --max-steps), or begin earlier (--start-swag)",
  );
}
