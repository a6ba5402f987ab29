/**
 * Where the time of a few steps goes: each launch in a pass of its own between two timestamps, and what the host does
 * meanwhile. The steps compute what they would without it, bit for bit.
 *
 * Timestamps are taken as nanoseconds, as WebGPU has them. wgpu, on which Deno builds, may hand out the device's ticks
 * instead (gfx-rs/wgpu#6719): then the launches do not fit the time that the host waits, which a profile states.
 *
 * @module
 */

import type { Gpu } from "./device.ts";
import { encodeTimed, type Launch } from "./launch.ts";

/** Timestamps of a query set at most: WebGPU allows no more. */
const QUERIES_PER_SET = 4096;
const LAUNCHES_PER_SET = QUERIES_PER_SET / 2;
const BYTES_PER_LAUNCH = 16;

/** A time span in milliseconds of `performance.now()`. */
export interface Span {
  /** What was done. */
  readonly name: string;
  /** When it began. */
  readonly start: number;
  /** When it ended; not before `start`. */
  readonly end: number;
}

/** What a launch is, besides its time. */
export type LaunchWork = Pick<Launch, "kind" | "flops" | "bytes">;

/** One profiled step. */
export interface ProfiledStep {
  /** Step, from 0. */
  readonly step: number;
  /** What the host did, in order: `data`, `upload`, `encode`, `submit`, `wait`. */
  readonly host: readonly Span[];
  /**
   * Launches in order. The device's clock has another zero: the first launch is taken to begin when the commands were
   * handed over, at which time the device is idle.
   */
  readonly device: readonly (Span & LaunchWork)[];
}

/** Which steps are profiled. */
export interface ProfilerOptions {
  /** Steps that run before: pipelines are compiled in the first. */
  readonly warmUp: number;
  /** Steps that are profiled. */
  readonly steps: number;
}

/** Records the steps of a training run. Hand it to the loop, read {@linkcode Profiler.steps} at the end. */
export class Profiler {
  /** What was recorded. */
  readonly steps: ProfiledStep[] = [];
  readonly #gpu: Gpu;
  readonly #options: ProfilerOptions;
  readonly #sets: GPUQuerySet[] = [];
  #seen = 0;
  #launches: Launch[] = [];
  #marks: { readonly name: string; readonly time: number }[] = [];

  /**
   * A profiler that has seen no step.
   *
   * @throws TypeError where the device has no timestamps
   */
  constructor(gpu: Gpu, options: ProfilerOptions) {
    if (!gpu.device.features.has("timestamp-query")) {
      throw new TypeError("Cannot profile: the device has no timestamps, and the feature timestamp-query is required");
    }
    this.#gpu = gpu;
    this.#options = options;
  }

  /** Whether to record the step that comes next; counts it. */
  due(): boolean {
    const index = this.#seen++ - this.#options.warmUp;
    return index >= 0 && index < this.#options.steps;
  }

  /** Records a step: `submit` prepares, encodes with {@linkcode Profiler.encode} and submits it. Waits for the device. */
  async record(step: number, submit: () => void | Promise<void>): Promise<void> {
    await this.#gpu.finish();
    this.#launches = [];
    this.#marks = [];
    await submit();
    this.mark("wait");
    const times = await this.#readTimes();
    this.mark("end");
    const host = this.#marks.slice(0, -1).map(({ name, time }, i) => ({
      name,
      start: time,
      end: this.#marks[i + 1].time,
    }));
    const submitted = host.find(({ name }) => name === "submit")?.end ?? host[0].start;
    const device = this.#launches.map(({ label: name, kind, flops, bytes }, i) => ({
      name,
      start: submitted + times[2 * i],
      end: submitted + times[2 * i + 1],
      kind,
      flops,
      bytes,
    }));
    this.steps.push({ step, host, device });
  }

  /** Says that the host begins something now, and is done with what it did before. */
  mark(name: string): void {
    this.#marks.push({ name, time: performance.now() });
  }

  /** Encodes launches, each in a pass of its own. Copies into images count as the launch's. */
  encode(encoder: GPUCommandEncoder, launches: readonly Launch[]): void {
    for (const launch of launches) {
      const index = this.#launches.push(launch) - 1;
      const first = 2 * (index % LAUNCHES_PER_SET);
      encodeTimed(encoder, [launch], this.#set(Math.floor(index / LAUNCHES_PER_SET)), first);
    }
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#sets.forEach((set) => set.destroy());
  }

  #set(index: number): GPUQuerySet {
    return this.#sets[index] ??= this.#gpu.device.createQuerySet({
      label: `timestamps ${index}`,
      type: "timestamp",
      count: QUERIES_PER_SET,
    });
  }

  /** Begin and end of each launch, in milliseconds from the first one's begin. Waits for the device. */
  async #readTimes(): Promise<Float64Array> {
    const times = new BigUint64Array(2 * this.#launches.length);
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    const resolved = this.#gpu.createBuffer("timestamps", LAUNCHES_PER_SET * BYTES_PER_LAUNCH, usage);
    try {
      for (let first = 0; first < this.#launches.length; first += LAUNCHES_PER_SET) {
        const count = 2 * Math.min(LAUNCHES_PER_SET, this.#launches.length - first);
        const encoder = this.#gpu.device.createCommandEncoder({ label: "timestamps" });
        encoder.resolveQuerySet(this.#set(first / LAUNCHES_PER_SET), 0, count, resolved, 0);
        this.#gpu.device.queue.submit([encoder.finish()]);
        times.set(new BigUint64Array(await this.#gpu.read(resolved, 0, 8 * count)), 2 * first);
      }
    } finally {
      this.#gpu.destroyBuffer(resolved);
    }
    return Float64Array.from(times, (time) => Number(time - times[0]) / 1e6);
  }
}
