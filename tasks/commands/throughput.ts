/**
 * Images per second of a run: the median over steps, without the first ones.
 *
 * @module
 */

/** Steps that count as warm-up. */
const WARM_UP = 3;

/** Measures a run's speed from the moments at which its metrics arrive. */
export class Throughput {
  readonly #batchSize: number;
  readonly #rates: number[] = [];
  #last = performance.now();
  #steps = 0;

  constructor(batchSize: number) {
    this.#batchSize = batchSize;
  }

  /** Takes note that `steps` more steps are done. */
  add(steps: number): void {
    const now = performance.now();
    this.#steps += steps;
    if (steps > 0 && this.#steps > WARM_UP) {
      const rate = steps * this.#batchSize / (now - this.#last) * 1000;
      for (let step = 0; step < steps; step++) this.#rates.push(rate);
    }
    this.#last = now;
  }

  /** Median over steps, or `undefined` before there is any. */
  get imagesPerSecond(): number | undefined {
    const sorted = this.#rates.toSorted((a, b) => a - b);
    return sorted.length === 0 ? undefined : sorted[Math.floor(sorted.length / 2)];
  }
}
