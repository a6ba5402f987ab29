/**
 * Samples all chains of a run into its folder.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import { runChain } from "../../lib/inference/chain.ts";
import type { StepMetrics } from "../../lib/inference/metrics_ring.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import type { Io } from "../cli/output.ts";
import type { Plan } from "./infer_plan.ts";
import { profilerFor, writeProfile } from "./profile.ts";
import type { RunFolder } from "./run_writer.ts";
import { Throughput } from "./throughput.ts";

/** What sampling reported. */
export interface Outcome {
  readonly steps: number;
  readonly seconds: number;
  readonly imagesPerSecond: number | undefined;
  readonly last: StepMetrics | undefined;
}

/** Samples from where the run stopped, or from its start. */
export async function sample(
  gpu: Gpu,
  { flags, classifier, chain }: Plan,
  folder: RunFolder,
  io: Io,
): Promise<Outcome> {
  const layouts = layoutModel(classifier);
  const point = await folder.resumePoint(layouts);
  await folder.truncateMetrics(point);
  const { steps } = chain.schedule;
  const profiler = flags.profile === undefined ? undefined : profilerFor(gpu, steps - (point.checkpoint?.step ?? 0));
  const progress = io.progress(flags.sampler, steps * flags.chains);
  const throughput = new Throughput(chain.batchSize);
  const start = performance.now();
  let last: StepMetrics | undefined;
  for (let index = point.chain; index < flags.chains; index++) {
    await runChain(gpu, { ...chain, chain: index }, {
      checkpointSteps: flags.checkpointSteps,
      profiler,
      async onMetrics(metrics) {
        last = metrics.at(-1) ?? last;
        throughput.add(metrics.length);
        await folder.appendMetrics(index, metrics);
        if (last) {
          progress.update({
            step: index * steps + last.step + 1,
            loss: last.loss,
            imagesPerSecond: throughput.imagesPerSecond,
          });
        }
      },
      onSample: (sample) => folder.writeSample(layouts, sample),
      onCheckpoint: (checkpoint) => folder.writeCheckpoint(layouts, index, checkpoint),
    }, index === point.chain ? point.checkpoint : undefined);
  }
  progress.finish();
  if (profiler) await writeProfile(gpu, flags.profile!, profiler, io);
  return {
    steps: steps * flags.chains,
    seconds: (performance.now() - start) / 1000,
    imagesPerSecond: throughput.imagesPerSecond,
    last,
  };
}
