/**
 * Timing: interleaved rounds, medians, spreads.
 *
 * @module
 */

/** A median and the quartiles around it. */
export interface Spread {
  readonly median: number;
  readonly lower: number;
  readonly upper: number;
  /** Measurements. */
  readonly count: number;
}

/** Median and quartiles (between the two nearest values) of at least one number. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const quantile = (share: number) => {
    const at = share * (sorted.length - 1), below = Math.floor(at);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
  };
  return { median: quantile(0.5), lower: quantile(0.25), upper: quantile(0.75), count: values.length };
}

/** Something that can be done several times and waited for. */
export interface Work {
  /** Does it `count` times and waits until all is done. */
  run(count: number): Promise<unknown>;
}

/** How long to measure. */
export interface Effort {
  /** Rounds, each with one group of every contestant. */
  readonly rounds: number;
  /** Seconds that a group of repetitions aims for: a wait costs about 11 ms. */
  readonly seconds: number;
}

const MOST_REPETITIONS = 1000;

async function millisecondsOf({ run }: Work, count: number): Promise<number> {
  const start = performance.now();
  await run(count);
  return (performance.now() - start) / count;
}

/**
 * Milliseconds of one repetition of each contestant. After a warm-up the contestants take turns, so that what disturbs
 * the machine disturbs all of them.
 */
export async function measure<Name>(
  contestants: ReadonlyMap<Name, Work>,
  { rounds, seconds }: Effort,
): Promise<Map<Name, Spread>> {
  const counts = new Map<Name, number>();
  for (const [name, work] of contestants) {
    await work.run(1);
    const milliseconds = await millisecondsOf(work, 1);
    counts.set(name, Math.min(MOST_REPETITIONS, Math.max(1, Math.round(1000 * seconds / milliseconds))));
  }
  const times = new Map<Name, number[]>([...contestants.keys()].map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, work] of contestants) times.get(name)!.push(await millisecondsOf(work, counts.get(name)!));
  }
  return new Map([...times].map(([name, values]) => [name, spreadOf(values)]));
}

/** Norm of the difference over the norm of what is expected. */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0, norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

/** Refuses a result that is too far from what is expected (a NaN is). */
export function requireClose(what: string, error: number, tolerance: number): void {
  if (error <= tolerance) return;
  throw new Error(`Cannot time ${what}: it is off by ${error.toPrecision(3)}, and at most ${tolerance} is allowed`);
}
