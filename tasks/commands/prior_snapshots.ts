/**
 * Learning a prior from snapshots, with its progress.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import type { Io } from "../cli/output.ts";
import type { Flags } from "./prior.ts";
import { learnChains } from "./prior_chains.ts";
import { priorResumePoint, type PriorSettings, type UnfinishedPrior } from "./prior_checkpoint.ts";
import type { PriorLearning, PriorMetrics, PriorTask } from "./prior_learning.ts";
import { evaluationLine, type Outcome } from "./prior_report.ts";
import { profilerFor, writeProfile } from "./profile.ts";
import { Throughput } from "./throughput.ts";
import { normalisationOf } from "./treatment.ts";

/** What a run of `prior` is made of. */
export interface Plan {
  readonly task: PriorTask;
  readonly learning: PriorLearning;
  readonly settings: PriorSettings;
  readonly unfinished: UnfinishedPrior | undefined;
}

/** Learns a prior from snapshots, by one chain or several. */
export async function learnSnapshots(
  gpu: Gpu,
  flags: Flags,
  { task, learning, settings, unfinished }: Plan,
  io: Io,
): Promise<Outcome> {
  const { layouts, schedule, batchSize } = learning;
  const from = unfinished && priorResumePoint(unfinished, layouts);
  const done = from?.checkpoint?.step ?? 0;
  const profiler = flags.profile === undefined ? undefined : profilerFor(gpu, schedule.steps - done);
  const steps = schedule.steps * flags.chains;
  const progress = io.progress("prior", steps);
  const throughput = new Throughput(batchSize);
  let last: PriorMetrics | undefined, before = 0;
  const { learned, evaluations } = await learnChains(gpu, {
    out: flags.out,
    chains: flags.chains,
    learning,
    settings,
    merge: {
      ...flags,
      model: task.classifier,
      weights: task.weights,
      train: task.train,
      batchSize,
      normalisation: normalisationOf(task.data),
    },
    onChain: (chain) => before = chain * schedule.steps,
    onEvaluation: (evaluation) => progress.note(evaluationLine(evaluation, flags)),
    hooks: {
      profiler,
      checkpointSteps: flags.checkpointSteps,
      onMetrics(metrics) {
        last = metrics.at(-1) ?? last;
        throughput.add(metrics.length);
        if (!last) return;
        const { imagesPerSecond } = throughput;
        progress.update({ step: before + last.step + 1, loss: last.loss, imagesPerSecond });
      },
    },
  }, from);
  progress.finish();
  if (profiler) await writeProfile(gpu, flags.profile!, profiler, io);
  return { learned, steps, imagesPerSecond: throughput.imagesPerSecond, last, evaluations };
}
