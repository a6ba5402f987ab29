/**
 * `swagpu prior`: learns a prior from a checkpoint on a source task.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import type { FeatureEvaluation } from "../../lib/inference/features.ts";
import type { LearnedPrior } from "../../lib/inference/learn_prior.ts";
import type { MergedPrior } from "../../lib/inference/multi_swag.ts";
import type { MemoryEstimate } from "../../lib/inference/training_step.ts";
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
import { learnChains } from "./prior_chains.ts";
import {
  openUnfinishedPrior,
  priorResumePoint,
  type PriorSettings,
  removeCheckpoint,
  type UnfinishedPrior,
} from "./prior_checkpoint.ts";
import { learnCurvature, METHOD_FLAGS } from "./prior_curvature.ts";
import {
  preparePrior,
  type PriorLearning,
  type PriorMetrics,
  type PriorTask,
  requireObjectiveFlags,
} from "./prior_learning.ts";
import { priorFileOf, requireWritable, targets, writePriorFiles } from "./prior_output.ts";
import { inputsOf, networkOf, requireSameInputs } from "./prior_resume.ts";
import { resumedFlags, settingsOf } from "./resumed_flags.ts";
import { requireConsistentMethod, scheduleOf } from "./prior_schedule.ts";
import { makeProfileFolder, PROFILE_FLAGS, profilerFor, writeProfile } from "./profile.ts";
import { Throughput } from "./throughput.ts";
import { normalisationOf } from "./treatment.ts";
import { tune } from "./tuning.ts";

/** Flags of `prior`. */
export const command = defineCommand({
  name: "prior",
  summary: "learn a prior over a backbone's weights from a checkpoint on a source task",
  permissions: "--allow-read --allow-write",
  flags: {
    ...MODEL_FLAGS,
    ...DATA_FLAGS,
    compat: {
      ...COMPAT_FLAG.compat,
      help: "the original system's normalisation, cyclic schedule and BatchNorm statistics, defects included",
    },
    ...METHOD_FLAGS,
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
    chains: {
      ...TRAINING_FLAGS.chains,
      group: "SWAG",
      help: "runs that differ in the order of the images, one after another; their mixture becomes one Gaussian",
    },
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
  const rowsOnDevice = flags.method === "swag" && flags.subspace !== "random" ? flags.maxRank : 0;
  const swag = 4 * layoutModel(classifier).backbone.paddedCount * (2 + rowsOnDevice);
  io.result({ out: null, ...memory, swag }, [
    ...memoryLines(memory),
    `SWAG            ${(swag / 2 ** 20).toFixed(1)} MiB`,
  ]);
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
  const flags = unfinished ? resumedFlags(given, unfinished.flags) : given;
  requireObjectiveFlags(flags);
  requireConsistentMethod(flags);
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
  const start = performance.now();
  const outcome: Outcome = flags.method === "swag"
    ? await learnSnapshots(gpu, flags, { task, learning, settings, unfinished }, io)
    : { learned: await learnCurvature(gpu, flags, task, io), steps: 0, evaluations: [] };
  await writePriorFiles(flags, await priorFileOf(flags, classifier, outcome.learned));
  await removeCheckpoint(flags.out);
  reportPrior(flags, outcome, (performance.now() - start) / 1000, io);
  return 0;
}

/** What a run of `prior` is made of. */
interface Plan {
  readonly task: PriorTask;
  readonly learning: PriorLearning;
  readonly settings: PriorSettings;
  readonly unfinished: UnfinishedPrior | undefined;
}

/** What was learned, and what the training reported. */
interface Outcome {
  readonly learned: LearnedPrior | MergedPrior;
  readonly steps: number;
  readonly imagesPerSecond?: number;
  readonly last?: PriorMetrics;
  readonly evaluations: readonly (FeatureEvaluation & { readonly steps: number })[];
}

/** Learns a prior from snapshots, by one chain or several. */
async function learnSnapshots(
  gpu: Gpu,
  flags: Flags,
  { task, learning, settings, unfinished }: Plan,
  io: Io,
): Promise<Outcome> {
  const { layouts, schedule, batchSize } = learning;
  const from = unfinished && priorResumePoint(unfinished, layouts);
  if (flags.profile !== undefined) await makeProfileFolder(flags.profile);
  const done = from?.checkpoint?.step ?? 0;
  const profiler = flags.profile === undefined ? undefined : profilerFor(gpu, schedule.steps - done);
  const steps = schedule.steps * flags.chains;
  const progress = io.progress("prior", steps);
  const throughput = new Throughput(batchSize);
  let last: PriorMetrics | undefined, before = 0;
  const evaluations: (FeatureEvaluation & { readonly steps: number })[] = [];
  const learned = await learnChains(gpu, {
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
      compat: flags.compat && flags.objective === "supervised",
    },
    onChain: (chain) => before = chain * schedule.steps,
    hooks: {
      profiler,
      checkpointSteps: flags.checkpointSteps,
      onEvaluation: (evaluation) => void evaluations.push(evaluation),
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

function reportPrior(flags: Flags, outcome: Outcome, seconds: number, io: Io): void {
  const { learned, steps, imagesPerSecond, last, evaluations } = outcome;
  const { swag, snapshots } = learned;
  const merged = "kept" in learned ? { kept: learned.kept, dropped: learned.dropped } : undefined;
  const result = {
    out: flags.out,
    steps,
    seconds,
    imagesPerSecond,
    loss: last?.loss,
    accuracy: last?.accuracy,
    ...evaluations.length > 0 && { evaluations },
    snapshots,
    rank: swag.covFactor.length,
    ...merged,
    parameters: swag.mean.length,
  };
  const source = flags.method === "swag" ? `${snapshots} snapshots` : `the curvature (${flags.method})`;
  io.result(result, [
    `prior over ${result.parameters} parameters, rank ${result.rank}, from ${source}: ${targets(flags).join(" ")}`,
    ...merged === undefined ? [] : [
      `${flags.chains} chains merged: the factor keeps ${
        (100 * merged.kept).toFixed(2)
      } % of their low-rank variance; ` +
      `the largest direction that it lacks has variance ${merged.dropped.toExponential(2)}`,
    ],
    ...evaluations.map(({ steps, knn, linear }) =>
      `after ${steps} steps: ${(100 * knn).toFixed(1)} % by nearest neighbours, ${(100 * linear).toFixed(1)} % linear`
    ),
    ...last === undefined ? [] : [`last loss ${last.loss.toFixed(4)}, ${steps} steps in ${seconds.toFixed(1)} s`],
  ]);
}
