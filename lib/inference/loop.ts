/**
 * The training loop: submits steps by a schedule, reads metrics rarely, hands samples out.
 *
 * @module
 */

import type { Profiler } from "../gpu/profiler.ts";
import type { StepMetrics } from "./metrics_ring.ts";
import type { Schedule } from "./schedules.ts";
import type { Batch } from "./training.ts";

/** Waiting for the device costs about 11 ms in Deno: metrics are read this often at most. */
const READ_INTERVAL_MS = 500;

/** Where batches come from: a pure function of the step, so that a run can resume. */
export interface BatchSource<B = Batch> {
  batchAt(step: number): B | Promise<B>;
}

/** What takes steps. */
export interface Steppable<B = Batch, M = StepMetrics> {
  /** Steps whose metrics wait to be read; at 64 they must be. */
  readonly pending: number;
  /** Submits one step and returns at once. */
  submit(step: number, batch: B, learningRate: number, noisy: boolean, profiler?: Profiler): void;
  /** Reads the metrics of the steps since the last call. */
  metrics(): Promise<M[]>;
}

/** What the caller does along the way. */
export interface LoopHooks<M = StepMetrics> {
  /** Metrics of the steps since the last call; at least one. */
  onMetrics?(metrics: readonly M[]): void | Promise<void>;
  /** After a step that the schedule collects. */
  onCollect?(step: number): void | Promise<void>;
  /** After every step; for checkpoints. */
  afterStep?(step: number): void | Promise<void>;
  /** Records the steps that it is due for; the loop waits for each of those. */
  readonly profiler?: Profiler;
}

/** Runs the steps `from`..`schedule.steps` - 1 (or up to `until`). */
export async function trainSteps<B, M>(
  session: Steppable<B, M>,
  batches: BatchSource<B>,
  schedule: Schedule,
  hooks: LoopHooks<M> = {},
  range: { readonly from?: number; readonly until?: number } = {},
): Promise<void> {
  const report = async () => {
    const metrics = await session.metrics();
    if (metrics.length > 0) await hooks.onMetrics?.(metrics);
  };
  const submit = async (step: number, profiler?: Profiler) => {
    profiler?.mark("data");
    session.submit(step, await batches.batchAt(step), schedule.learningRate(step), schedule.noise(step), profiler);
  };
  const { profiler } = hooks;
  const until = Math.min(range.until ?? schedule.steps, schedule.steps);
  let lastRead = performance.now();
  for (let step = range.from ?? 0; step < until; step++) {
    if (profiler?.due()) await profiler.record(step, () => submit(step, profiler));
    else await submit(step);
    if (session.pending === 64 || performance.now() - lastRead > READ_INTERVAL_MS) {
      await report();
      lastRead = performance.now();
    }
    if (schedule.collect(step)) await hooks.onCollect?.(step);
    await hooks.afterStep?.(step);
  }
  await report();
}
