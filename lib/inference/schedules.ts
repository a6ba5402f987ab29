/**
 * Learning rates and sample collection as pure functions of the step.
 *
 * Steps count from 0: the update of step t uses `learningRate(t)`, adds noise where `noise(t)`, and where `collect(t)`
 * the weights *after* it are kept. So `collect(steps - 1)` keeps the final weights, and "after p steps" is step p − 1.
 *
 * @module
 */

/** What a run does at each of its steps, 0..`steps`−1; a step outside is a `RangeError`. */
export interface Schedule {
  /** Number of steps of the whole run. */
  readonly steps: number;
  /** Learning rate of a step. */
  learningRate(step: number): number;
  /** Whether a sampler adds noise at a step. */
  noise(step: number): boolean;
  /** Whether the weights after a step are kept. */
  collect(step: number): boolean;
}

/** Options of {@linkcode constant} and {@linkcode cosine}. */
export interface SamplingOptions {
  /** Learning rate at step 0. */
  readonly learningRate: number;
  /** Number of steps of the run. */
  readonly steps: number;
  /** Number of samples to keep; default 1, the final weights; 0 keeps none. */
  readonly samples?: number;
  /** Fraction of the steps, on [0, 1), before which no sample is kept; default ½. */
  readonly burnIn?: number;
}

/** Options of {@linkcode cyclical}. */
export interface CyclicalOptions {
  /** Learning rate at the start of each cycle. */
  readonly learningRate: number;
  /** Number of steps of the run. */
  readonly steps: number;
  /** Number of cycles; default 4. */
  readonly cycles?: number;
  /** Number of samples of the whole run; default 12. */
  readonly samples?: number;
  /** β: the fraction of a cycle, on [0, 1), that explores without noise; default ¼. */
  readonly exploration?: number;
}

/**
 * One learning rate; noise throughout; after the burn-in, samples evenly apart, the last one being the final weights.
 *
 * @throws RangeError where an option is impossible, as more samples than there are steps after the burn-in
 */
export function constant(options: SamplingOptions): Schedule {
  return afterBurnIn(options, () => options.learningRate);
}

/**
 * Cosine annealing by step: lr(t) = lr₀/2·(cos(π·t/T) + 1), down to nearly 0 at the last step; samples as in
 * {@linkcode constant}.
 *
 * @throws RangeError where an option is impossible
 */
export function cosine(options: SamplingOptions): Schedule {
  return afterBurnIn(options, (step) => annealed(options.learningRate, step / options.steps));
}

/** β of {@linkcode cyclical}. */
const EXPLORATION = 0.25;

/**
 * Cyclical cosine steps (Zhang et al., arXiv 1902.03932, equation 1): cycles of L = ⌈T/M⌉ steps, the last one cut at T;
 * lr(t) = lr₀/2·(cos(π·(t mod L)/L) + 1). The first β of a cycle, (t mod L)/L < β, explores without noise.
 *
 * Of S samples each cycle keeps ⌊S/M⌋, and each of the last S mod M cycles one more. Its s samples are taken after
 * int((β + i·(1−β)/s)·L) of its steps, i = 1..s: for L = 250, s = 3, β = ¼ after 125, 187 and 250.
 * In a cut cycle they are spread in the same way over what is left of it.
 *
 * @throws RangeError where an option is impossible, as more samples than a cycle has steps with noise
 */
export function cyclical(options: CyclicalOptions): Schedule {
  const { learningRate, steps, cycles = 4, samples = 12, exploration = EXPLORATION } = options;
  checkRate(learningRate);
  checkCount("samples", samples, 0);
  checkFraction("exploration", exploration);
  const length = cycleLength(steps, cycles);
  const kept = keptInCycles({ steps, length, cycles, samples, exploration });
  return schedule(
    steps,
    (step) => annealed(learningRate, (step % length) / length),
    (step) => (step % length) / length >= exploration,
    (step) => kept.has(step),
  );
}

/**
 * The most samples that {@linkcode cyclical} keeps of a run of so many steps; 0 where it cannot cut them into that many
 * cycles, or the last one has no step with noise.
 */
export function mostInCycles(steps: number, cycles: number, exploration = EXPLORATION): number {
  const length = Math.ceil(steps / cycles), last = steps - (cycles - 1) * length;
  // Of all cycles the last one is the shortest, and has no fewer samples than any other.
  return cycles * Math.max(last - Math.ceil(exploration * length - ROUNDING), 0);
}

/** The steps after which a schedule keeps the weights, in order. */
export function collectedSteps(schedule: Schedule): number[] {
  const steps: number[] = [];
  for (let step = 0; step < schedule.steps; step++) if (schedule.collect(step)) steps.push(step);
  return steps;
}

/** The highest learning rate of a run. */
export function highestRate(schedule: Schedule): number {
  let highest = 0;
  for (let step = 0; step < schedule.steps; step++) highest = Math.max(highest, schedule.learningRate(step));
  return highest;
}

/** A product such as 0.1 * 30 may land a hair beside the whole number that it stands for. */
const ROUNDING = 1e-9;

/** The steps after which cycles keep samples: see {@linkcode cyclical}. */
export function keptInCycles(
  { steps, length, cycles, samples, exploration }: {
    readonly steps: number;
    readonly length: number;
    readonly cycles: number;
    readonly samples: number;
    readonly exploration: number;
  },
): ReadonlySet<number> {
  const kept = new Set<number>();
  for (let cycle = 0; cycle < cycles; cycle++) {
    const share = Math.floor(samples / cycles) + (cycle >= cycles - samples % cycles ? 1 : 0);
    const end = Math.min(length, steps - cycle * length);
    for (const done of spread(exploration * length, end, share)) kept.add(cycle * length + done - 1);
  }
  return kept;
}

/** Half a cosine from `rate` at phase 0 to 0 at phase 1. */
export function annealed(rate: number, phase: number): number {
  return rate / 2 * (Math.cos(Math.PI * phase) + 1);
}

/** ⌈steps/cycles⌉, where the last cycle has at least one step. */
export function cycleLength(steps: number, cycles: number): number {
  checkCount("steps", steps, 1);
  checkCount("cycles", cycles, 1);
  const length = Math.ceil(steps / cycles);
  if ((cycles - 1) * length >= steps) {
    throw new RangeError(
      `Cannot cut ${steps} steps into ${cycles} cycles of ${length}: nothing is left for the last one; ` +
        `${cycles * length} steps or ${Math.ceil(steps / length)} cycles would do`,
    );
  }
  return length;
}

/**
 * `count` different whole numbers of steps done, evenly apart on (start, end], the last one `end`: int(start + i·gap),
 * moved up where that would be a step that began before `start`.
 */
export function spread(start: number, end: number, count: number): number[] {
  const first = Math.ceil(start - ROUNDING);
  if (count > 0 && end - first < count) {
    throw new RangeError(
      `Cannot keep ${count} samples after ${first} of ${end} steps: at most ${
        Math.max(end - first, 0)
      } are possible; ` +
        "fewer samples, more steps or a shorter burn-in or exploration is required",
    );
  }
  const gap = (end - start) / count;
  return Array.from({ length: count }, (_, i) => Math.max(Math.floor(start + (i + 1) * gap + ROUNDING), first + i + 1));
}

function afterBurnIn(options: SamplingOptions, learningRate: (step: number) => number): Schedule {
  const { steps, samples = 1, burnIn = 0.5 } = options;
  checkRate(options.learningRate);
  checkCount("steps", steps, 1);
  checkCount("samples", samples, 0);
  checkFraction("burn-in", burnIn);
  const kept = new Set(spread(Math.floor(burnIn * steps), steps, samples).map((done) => done - 1));
  return schedule(steps, learningRate, () => true, (step) => kept.has(step));
}

/** A schedule of these functions of a step; a step outside the run is refused. */
export function schedule(
  steps: number,
  learningRate: (step: number) => number,
  noise: (step: number) => boolean,
  collect: (step: number) => boolean,
): Schedule {
  const within = <T>(at: (step: number) => T) => (step: number): T => {
    if (!Number.isInteger(step) || step < 0 || step >= steps) {
      throw new RangeError(`Cannot schedule step ${step} of a run of ${steps} steps: 0 to ${steps - 1} is required`);
    }
    return at(step);
  };
  return { steps, learningRate: within(learningRate), noise: within(noise), collect: within(collect) };
}

/** Refuses what is no learning rate. */
export function checkRate(learningRate: number): void {
  if (!(learningRate >= 0 && learningRate < Infinity)) {
    throw new RangeError(`Cannot train at learning rate ${learningRate}: a finite number of at least 0 is required`);
  }
}

/** Refuses what is no whole number of at least `least`. */
export function checkCount(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(
      `Cannot schedule a run with ${name} = ${value}: a whole number of at least ${least} is required`,
    );
  }
}

function checkFraction(name: string, value: number): void {
  if (!(value >= 0 && value < 1)) {
    throw new RangeError(`Cannot schedule a run with ${name} = ${value}: a fraction from 0 to below 1 is required`);
  }
}
