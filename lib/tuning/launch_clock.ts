/**
 * How long launches take on the device.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { encodeLaunches, encodeTimed, type Launch } from "../gpu/launch.ts";

/** Runs of which the median counts, and milliseconds that they may take together before fewer do. */
const MOST_RUNS = 9, LEAST_RUNS = 3, MILLISECONDS = 60;
/** Milliseconds that a group of runs should take where only the host can time it. */
const GROUP_MILLISECONDS = 30;
/** Repeats of a group at most. */
const MOST_REPEATS = 2 ** 14;

/** What a clock may use. */
export interface LaunchClockOptions {
  /** Use the device's timestamps; default: where it has them. */
  readonly timestamps?: boolean;
}

/** Times launches: by the device's timestamps where it has them, otherwise by waiting for it. */
export class LaunchClock {
  readonly #gpu: Gpu;
  readonly #querySet: GPUQuerySet | undefined;
  readonly #resolved: GPUBuffer | undefined;
  /** Milliseconds from the submission of nothing to the host's being told. */
  #idle: number | undefined;

  /** A clock of a device; destroy it. */
  constructor(gpu: Gpu, { timestamps = gpu.device.features.has("timestamp-query") }: LaunchClockOptions = {}) {
    this.#gpu = gpu;
    if (!timestamps) return;
    const count = 2 * MOST_RUNS;
    this.#querySet = gpu.device.createQuerySet({ label: "times of products", type: "timestamp", count });
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    this.#resolved = gpu.createBuffer("times of products", 8 * count, usage);
  }

  /** Milliseconds of one run of all launches, one after another: the median of several runs, after one to warm up. */
  async time(launches: readonly Launch[]): Promise<number> {
    const measure = (runs: number) =>
      this.#querySet ? this.#byTimestamps(launches, runs) : this.#byHost(launches, runs);
    const [once] = await measure(1);
    const runs = Math.max(LEAST_RUNS, Math.min(MOST_RUNS, Math.round(MILLISECONDS / once)));
    return medianOf(await measure(runs));
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#querySet?.destroy();
    if (this.#resolved) this.#gpu.destroyBuffer(this.#resolved);
  }

  /** Each run in a pass of its own between two timestamps. */
  async #byTimestamps(launches: readonly Launch[], runs: number): Promise<number[]> {
    const { device } = this.#gpu;
    const querySet = this.#querySet!, resolved = this.#resolved!;
    const encoder = device.createCommandEncoder({ label: "timed product" });
    for (let run = 0; run < runs; run++) {
      encodeTimed(encoder, launches, querySet, 2 * run);
    }
    encoder.resolveQuerySet(querySet, 0, 2 * runs, resolved, 0);
    device.queue.submit([encoder.finish()]);
    const times = new BigUint64Array(await this.#gpu.read(resolved, 0, 16 * runs));
    return Array.from({ length: runs }, (_, run) => Number(times[2 * run + 1] - times[2 * run]) / 1e6);
  }

  /** Groups of runs, long enough that the wait for the device, which is taken off, does not hide them. */
  async #byHost(launches: readonly Launch[], runs: number): Promise<number[]> {
    this.#idle ??= await this.#waitForNothing();
    if (runs === 1) return [Math.max(1e-3, await this.#waitFor(launches, 1) - this.#idle)];
    const size = await this.#groupSize(launches, this.#idle), times: number[] = [];
    for (let run = 0; run < Math.min(runs, LEAST_RUNS); run++) {
      times.push((await this.#waitFor(launches, size) - this.#idle) / size);
    }
    return times;
  }

  /** Repeats of which a group takes its time, found by growing: a run can be shorter than what a wait varies by. */
  async #groupSize(launches: readonly Launch[], idle: number): Promise<number> {
    for (let size = 1;; size *= 4) {
      const taken = await this.#waitFor(launches, size) - idle;
      if (taken >= GROUP_MILLISECONDS / 4 || size >= MOST_REPEATS) return size;
    }
  }

  /** Milliseconds of a wait with nothing to wait for: the least of several, since a busy host makes some longer. */
  async #waitForNothing(): Promise<number> {
    let least = Infinity;
    for (let run = 0; run < LEAST_RUNS; run++) least = Math.min(least, await this.#waitFor([], 0));
    return least;
  }

  /** Milliseconds until the device has done the launches so many times. */
  async #waitFor(launches: readonly Launch[], repeats: number): Promise<number> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder({ label: "timed product" });
    for (let repeat = 0; repeat < repeats; repeat++) encodeLaunches(encoder, "timed product", launches);
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - start;
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
