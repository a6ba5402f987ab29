/**
 * Learning rates of pre-training before a prior is collected.
 *
 * @module
 */

import type { Schedule } from "./schedules.ts";

/** Options of {@linkcode pretraining}. */
export interface PretrainingOptions {
  /** Highest learning rate, at the end of the warm-up. */
  readonly learningRate: number;
  /** Steps of pre-training, the warm-up included. */
  readonly steps: number;
  /** Steps over which the learning rate rises from 0; default 0. */
  readonly warmup?: number;
}

/**
 * A schedule behind another: `steps` steps of linear warm-up and cosine annealing, lr(t) = lr₀·(t + 1)/w for t < w, then
 * lr₀/2·(cos(π·(t − w)/(T − w)) + 1), that collect nothing and draw no noise; then all of `then`.
 *
 * @throws RangeError where a number is impossible, as a warm-up longer than the steps
 */
export function pretraining({ learningRate, steps, warmup = 0 }: PretrainingOptions, then: Schedule): Schedule {
  const whole = (value: number) => Number.isInteger(value) && value >= 0;
  if (!whole(steps) || !whole(warmup) || warmup > steps) {
    throw new RangeError(
      `Cannot pre-train for ${steps} steps with a warm-up of ${warmup}: whole numbers are required, and a warm-up that ` +
        "is not longer",
    );
  }
  if (!(learningRate >= 0 && learningRate < Infinity)) {
    throw new RangeError(
      `Cannot pre-train at learning rate ${learningRate}: a finite number of at least 0 is required`,
    );
  }
  const rate = (step: number) =>
    step < warmup
      ? learningRate * (step + 1) / warmup
      : learningRate / 2 * (Math.cos(Math.PI * (step - warmup) / (steps - warmup)) + 1);
  // A step outside is refused by the second schedule.
  const first = (step: number) => Number.isInteger(step) && step >= 0 && step < steps;
  return {
    steps: steps + then.steps,
    learningRate: (step) => first(step) ? rate(step) : then.learningRate(step - steps),
    noise: (step) => !first(step) && then.noise(step - steps),
    collect: (step) => !first(step) && then.collect(step - steps),
  };
}
