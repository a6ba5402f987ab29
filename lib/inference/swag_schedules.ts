/**
 * When SWAG takes its snapshots, and at which learning rate: as `schedules.ts`, without noise.
 *
 * @module
 */

import {
  annealed,
  checkCount,
  checkRate,
  cycleLength,
  keptInCycles,
  type Schedule,
  schedule,
  spread,
} from "./schedules.ts";

/** Options of {@linkcode constantSwag}. */
export interface ConstantSwagOptions {
  /** Learning rate of every step, or of those after the annealing. */
  readonly learningRate: number;
  /** Number of steps of the run. */
  readonly steps: number;
  /** Steps done when the first snapshot is taken; default 1. */
  readonly start?: number;
  /** Steps between snapshots; default 1. */
  readonly interval?: number;
  /** Half a cosine from another learning rate to `learningRate` over the first steps; default none. */
  readonly annealing?: { readonly from: number; readonly steps: number };
}

/** Options of {@linkcode cyclicalSwag}. */
export interface CyclicalSwagOptions {
  /** Learning rate at the start of each cycle. */
  readonly learningRate: number;
  /** Number of steps of the run. */
  readonly steps: number;
  /** Number of cycles; default 5. */
  readonly cycles?: number;
  /** Snapshots of the whole run; default one of each cycle. */
  readonly samples?: number;
  /** The step, counted from 1, that the first cycle begins with; default 1. Those before run at `learningRate`. */
  readonly start?: number;
  /** Reproduce the original's counting of steps: the defect D17 that {@linkcode cyclicalSwag} has not. */
  readonly compat?: OriginalCounting;
}

/** What the original's counting of steps depends on. */
export interface OriginalCounting {
  /** Passes over the training images. */
  readonly epochs: number;
  /** Steps of one of them. */
  readonly stepsPerEpoch: number;
}

/**
 * SWAG at one learning rate: a snapshot after `start` steps and after every `interval` further ones. No noise.
 *
 * @throws RangeError where an option is impossible, as a start after the last step
 */
export function constantSwag(options: ConstantSwagOptions): Schedule {
  const { learningRate, steps, start = 1, interval = 1, annealing } = options;
  checkRate(learningRate);
  checkSwagStart(steps, start);
  checkCount("interval", interval, 1);
  if (annealing !== undefined) {
    checkRate(annealing.from);
    checkCount("annealing", annealing.steps, 0);
  }
  return schedule(
    steps,
    (step) =>
      annealing === undefined || step >= annealing.steps
        ? learningRate
        : learningRate + annealed(annealing.from - learningRate, step / annealing.steps),
    () => false,
    (step) => step + 1 >= start && (step + 1 - start) % interval === 0,
  );
}

/** β of cyclical SWAG, as the samplers': where a cycle takes several snapshots, none is of its first quarter. */
const SWAG_EXPLORATION = 0.25;

/**
 * SWAG at a cyclical learning rate, as {@linkcode cyclical}: M cycles over the steps from `start` on, and snapshots where
 * `cyclical` keeps samples; with one a cycle, after each cycle's last step. No noise.
 *
 * @throws RangeError where an option is impossible
 */
export function cyclicalSwag(options: CyclicalSwagOptions): Schedule {
  const { learningRate, steps, cycles = 5, samples = cycles, start = 1, compat } = options;
  checkRate(learningRate);
  checkSwagStart(steps, start);
  checkCount("samples", samples, 0);
  if (compat !== undefined) return originalSwag({ learningRate, steps, cycles, samples, start }, compat);
  const before = start - 1, rest = steps - before;
  const length = cycleLength(rest, cycles);
  const exploration = samples > cycles ? SWAG_EXPLORATION : 0;
  const kept = keptInCycles({ steps: rest, length, cycles, samples, exploration });
  return schedule(
    steps,
    (step) => step < before ? learningRate : annealed(learningRate, (step - before) % length / length),
    () => false,
    (step) => kept.has(step - before),
  );
}

/**
 * The original's cyclical SWAG (its defect D17): the phase begins at the number of epochs instead of 0, the length of a
 * cycle counts the steps before the start as well, and after each epoch the phase goes on by one more, which may pass a
 * snapshot by. A remainder of snapshots over cycles is dropped (D15).
 */
function originalSwag(
  { learningRate, steps, cycles, samples, start }: Required<Omit<CyclicalSwagOptions, "compat">>,
  { epochs, stepsPerEpoch }: OriginalCounting,
): Schedule {
  checkCount("epochs", epochs, 1);
  checkCount("steps of an epoch", stepsPerEpoch, 1);
  const before = start - 1, length = cycleLength(steps, cycles);
  const share = Math.floor(samples / cycles);
  const kept = new Set(spread(share > 1 ? SWAG_EXPLORATION * length : 0, length, share));
  const epochOf = (step: number) => Math.floor(step / stepsPerEpoch);
  const phase = (step: number) => (epochs + step - before + epochOf(step) - epochOf(before)) % length;
  return schedule(
    steps,
    (step) => step < before ? learningRate : annealed(learningRate, phase(step) / length),
    () => false,
    (step) => step >= before && kept.has(phase(step) + 1),
  );
}

function checkSwagStart(steps: number, start: number): void {
  checkCount("steps", steps, 1);
  checkCount("start", start, 1);
  if (start > steps) {
    throw new RangeError(`Cannot take a snapshot after ${start} of ${steps} steps: a start up to ${steps} is required`);
  }
}
