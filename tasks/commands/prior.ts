/**
 * `swagpu prior`: learns a prior from a checkpoint on a source task.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { FeatureEvaluation } from "../../lib/inference/features.ts";
import { constantSwag, cyclicalSwag, type Schedule } from "../../lib/inference/schedules.ts";
import type { MemoryEstimate } from "../../lib/inference/training.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import {
  COMPAT_FLAG,
  DATA_FLAGS,
  DEVICE_FLAGS,
  MODEL_FLAGS,
  OUTPUT_FLAGS,
  SWAG_FLAGS,
  TRAINING_FLAGS,
  TUNING_FLAGS,
} from "../cli/flag_groups.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import { OBJECTIVE_FLAG, OBJECTIVE_FLAGS } from "../cli/objective_flags.ts";
import type { Io } from "../cli/output.ts";
import { kernelScheduleOf, loadSource, loadTask } from "./inputs.ts";
import { memoryLines } from "./memory.ts";
import { classifierOf, importedNetwork, loadWeights, remarks, statedTreatment } from "./network.ts";
import type { OnnxFile } from "./onnx_file.ts";
import { openUnfinishedPrior, priorCheckpointOf, removeCheckpoint, writePriorCheckpoint } from "./prior_checkpoint.ts";
import { preparePrior, type PriorMetrics, type PriorTask, requireObjectiveFlags } from "./prior_learning.ts";
import { priorFileOf, requireWritable, targets, writePriorFiles } from "./prior_output.ts";
import { inputsOf, networkOf, requireSameInputs, resumedFlags, settingsOf } from "./prior_resume.ts";
import { makeProfileFolder, PROFILE_FLAGS, profilerFor, writeProfile } from "./profile.ts";
import { Throughput } from "./throughput.ts";
import { tune } from "./tuning.ts";

/** Flags of `prior`. */
export const command = defineCommand({
  name: "prior",
  summary: "learn a prior over a backbone's weights from a checkpoint on a source task",
  permissions: "--allow-read --allow-write",
  flags: {
    ...MODEL_FLAGS,
    ...DATA_FLAGS,
    ...COMPAT_FLAG,
    ...OBJECTIVE_FLAG,
    ...OBJECTIVE_FLAGS,
    epochs: { ...TRAINING_FLAGS.epochs, default: 5 },
    maxSteps: TRAINING_FLAGS.maxSteps,
    momentum: TRAINING_FLAGS.momentum,
    weightDecay: { ...TRAINING_FLAGS.weightDecay, default: 1e-4 },
    labelSmoothing: TRAINING_FLAGS.labelSmoothing,
    recompute: TRAINING_FLAGS.recompute,
    precision: TRAINING_FLAGS.precision,
    ...SWAG_FLAGS,
    ...DEVICE_FLAGS,
    ...TUNING_FLAGS,
    format: {
      type: "choice",
      choices: ["safetensors", "parts"],
      default: "safetensors",
      group: "Output",
      help: "one safetensors file, or the original's four files with --out as their prefix",
    },
    force: { type: "boolean", group: "Output", help: "replace a prior that exists, or one that was not finished" },
    out: { ...OUTPUT_FLAGS.out, required: true },
    checkpointSteps: {
      type: "integer",
      default: 500,
      min: 1,
      group: "Output",
      help: "steps between checkpoints to resume from, in a file beside --out until the prior is there",
    },
    resume: { ...OUTPUT_FLAGS.resume, help: "go on with the prior --out where it stopped, with its own settings" },
    ...PROFILE_FLAGS,
    dryRun: OUTPUT_FLAGS.dryRun,
    json: OUTPUT_FLAGS.json,
    quiet: OUTPUT_FLAGS.quiet,
  },
  examples: [
    "prior --encoder resnet20 --weights-path resnet20.th --train-dataset cifar10 --data-dir cifar10 " +
    "--out prior.safetensors",
    "prior --objective simclr --encoder resnet20 --train-dataset cifar10 --data-dir cifar10 --pretrain-epochs 100 " +
    "--optimizer lars --lr 0.4 --knn-every 10 --out prior.safetensors",
    "prior --resume --out prior.safetensors",
  ],
});

/** Values of the flags. */
export type Flags = FlagsOf<typeof command>;

/** Prints what a run would allocate. */
function reportMemory(flags: Flags, classifier: ClassifierConfig, memory: MemoryEstimate, io: Io): void {
  const swag = 4 * layoutModel(classifier).backbone.paddedCount * (2 + flags.maxRank);
  io.result({ out: null, ...memory, swag }, [
    ...memoryLines(memory),
    `SWAG            ${(swag / 2 ** 20).toFixed(1)} MiB`,
  ]);
}

function scheduleOf(flags: Flags, stepsPerEpoch: number): Schedule {
  const steps = Math.min(flags.maxSteps ?? Infinity, flags.epochs * stepsPerEpoch);
  const learningRate = flags.swaLrs;
  return flags.swagScheduler === "constant"
    ? constantSwag({ learningRate, steps, start: Math.max(1, flags.startSwag), interval: flags.intervalSteps })
    : cyclicalSwag({ learningRate, steps, cycles: Math.min(flags.nSamples, steps) });
}

/** Images, network and first weights. */
async function loadPriorTask(flags: Flags, onnx: OnnxFile | undefined): Promise<PriorTask> {
  const data = { ...flags, ...statedTreatment(onnx) };
  // Views are cut on the device, out of images in memory.
  const read = flags.objective === "supervised" ? data : { ...data, transforms: "plain" as const };
  const { train, val }: { train: ImageSource; val?: ImageSource } = flags.knnEvery
    ? await loadTask(read, flags.seed)
    : { train: await loadSource(read, flags.seed) };
  const classifier = classifierOf(flags, train, onnx);
  return { train, val, data, classifier, weights: await loadWeights(flags, classifier, "fresh") };
}

/** Runs `prior`. */
export async function run(given: Flags, io: Io): Promise<number> {
  const unfinished = given.resume ? await openUnfinishedPrior(given.out) : undefined;
  const flags = unfinished ? resumedFlags(given, unfinished) : given;
  requireObjectiveFlags(flags);
  if (flags.objective === "supervised" && flags.weightsPath === undefined && flags.onnx === undefined) {
    throw new UsageError("Cannot learn a prior: a pre-trained network is required; give --weights-path or --onnx");
  }
  if (!flags.dryRun) await requireWritable(flags, targets(flags));
  const onnx = unfinished ? await networkOf(unfinished, flags.onnx) : await importedNetwork(flags);
  const task = await loadPriorTask(flags, onnx);
  const { train, classifier, weights } = task;
  remarks(classifier).forEach(io.note);
  using gpu = await openGpu({ schedule: kernelScheduleOf(flags), tuning: unfinished?.tuning });
  const learning = preparePrior(gpu, flags, task, (stepsPerEpoch) => scheduleOf(flags, stepsPerEpoch));
  // What goes on computes as it began, whatever was found since.
  if (!unfinished && flags.objective === "supervised") {
    await tune(gpu, flags, classifier, learning.batchSize, io, !flags.dryRun);
  }
  if (flags.dryRun) {
    reportMemory(flags, classifier, learning.estimate(), io);
    return 0;
  }
  const settings = {
    flags: { ...settingsOf(flags), kernelSchedule: gpu.schedule },
    inputs: inputsOf(train, weights),
    onnx: onnx?.record,
    tuning: gpu.tuning,
  };
  if (unfinished) requireSameInputs(unfinished, settings.inputs);
  else await removeCheckpoint(flags.out);
  const { layouts, schedule } = learning;
  const from = unfinished && priorCheckpointOf(unfinished, layouts);
  if (flags.profile !== undefined) await makeProfileFolder(flags.profile);
  const profiler = flags.profile === undefined ? undefined : profilerFor(gpu, schedule.steps - (from?.step ?? 0));
  const progress = io.progress("prior", schedule.steps);
  const throughput = new Throughput(learning.batchSize);
  const start = performance.now();
  let last: PriorMetrics | undefined;
  const evaluations: (FeatureEvaluation & { readonly steps: number })[] = [];
  const learned = await learning.learn({
    profiler,
    checkpointSteps: flags.checkpointSteps,
    onCheckpoint: (checkpoint) => writePriorCheckpoint(flags.out, layouts, settings, checkpoint),
    onEvaluation: (evaluation) => void evaluations.push(evaluation),
    onMetrics(metrics) {
      last = metrics.at(-1) ?? last;
      throughput.add(metrics.length);
      if (last) {
        progress.update({ step: last.step + 1, loss: last.loss, imagesPerSecond: throughput.imagesPerSecond });
      }
    },
  }, from);
  progress.finish();
  if (profiler) await writeProfile(gpu, flags.profile!, profiler, io);
  await writePriorFiles(flags, await priorFileOf(flags, classifier, learned));
  await removeCheckpoint(flags.out);
  const { swag, snapshots } = learned;
  const result = {
    out: flags.out,
    steps: schedule.steps,
    seconds: (performance.now() - start) / 1000,
    imagesPerSecond: throughput.imagesPerSecond,
    loss: last?.loss,
    accuracy: last?.accuracy,
    ...evaluations.length > 0 && { evaluations },
    snapshots,
    rank: swag.covFactor.length,
    parameters: swag.mean.length,
  };
  io.result(result, [
    `prior over ${result.parameters} parameters, rank ${result.rank}, from ${snapshots} snapshots: ${
      targets(flags).join(" ")
    }`,
    ...evaluations.map(({ steps, knn, linear }) =>
      `after ${steps} steps: ${(100 * knn).toFixed(1)} % by nearest neighbours, ${(100 * linear).toFixed(1)} % linear`
    ),
    `last loss ${last?.loss.toFixed(4)}, ${result.steps} steps in ${result.seconds.toFixed(1)} s`,
  ]);
  return 0;
}
