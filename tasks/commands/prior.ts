/**
 * `swagpu prior`: learns a prior from a checkpoint on a source task.
 *
 * @module
 */

import { isUnlabelled } from "../../lib/data/stl10.ts";
import { epochOf } from "../../lib/data/training_order.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { requireExamples } from "../../lib/inference/fisher.ts";
import {
  COMPAT_FLAG,
  DATA_FLAGS,
  DEVICE_FLAGS,
  MODEL_FLAGS,
  OUTPUT_FLAGS,
  TRAINING_FLAGS,
  TUNING_FLAGS,
} from "../cli/flag_groups.ts";
import { SWAG_FLAGS } from "../cli/prior_flag_groups.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import { OBJECTIVE_FLAG, OBJECTIVE_FLAGS, PRETRAINING_FLAGS } from "../cli/objective_flags.ts";
import type { Io } from "../cli/output.ts";
import { kernelScheduleOf, loadSource, loadSplit, loadTask, requireLabels, requireSameClasses } from "./inputs.ts";
import { classifierOf, importedNetwork, loadWeights, remarks, statedTreatment } from "./network.ts";
import { requireLinearHead } from "./laplace.ts";
import type { OnnxFile } from "./onnx_file.ts";
import { isFinished, openUnfinishedPrior, removeCheckpoint } from "./prior_checkpoint.ts";
import { examplesOf, learnCurvature, measuresCurvature, METHOD_FLAGS, reportCurvaturePlan } from "./prior_curvature.ts";
import { flagRemarks, requireClassifierFlags, requireConsistentFlags } from "./prior_flags.ts";
import { fromLabels } from "./prior_from_labels.ts";
import { fromViews } from "./prior_from_views.ts";
import { HEAD_FLAGS, learnHead } from "./prior_head.ts";
import type { PriorLearning, PriorTask } from "./prior_learning.ts";
import { priorFileOf, requireFormat, requireWritable, targets, writePriorFiles } from "./prior_output.ts";
import { type Outcome, reportMemory, reportPrior } from "./prior_report.ts";
import { inputsOf, networkOf, requireSameInputs } from "./prior_resume.ts";
import { resumedFlags, settingsOf } from "./resumed_flags.ts";
import { requireSnapshots, snapshotRemarks } from "./prior_schedule.ts";
import { learnSnapshots } from "./prior_snapshots.ts";
import { makeProfileFolder, PROFILE_FLAGS } from "./profile.ts";
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
    ...HEAD_FLAGS,
    ...OBJECTIVE_FLAG,
    ...PRETRAINING_FLAGS,
    ...OBJECTIVE_FLAGS,
    epochs: { ...TRAINING_FLAGS.epochs, default: 5 },
    maxSteps: {
      ...TRAINING_FLAGS.maxSteps,
      help: "at most that many steps of --epochs; those of --pretrain-epochs come before and do not count",
    },
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

/** Images, network and first weights. */
async function loadPriorTask(flags: Flags, onnx: OnnxFile | undefined): Promise<PriorTask> {
  const data = { ...flags, ...statedTreatment(onnx, flags) };
  if (flags.objective === "supervised") {
    const train = await loadSource(data, flags.seed);
    requireLabels(train);
    return await withNetwork(flags, onnx, { train, data });
  }
  // Views have a treatment of their own. They are cut out of whole images.
  const read = { ...data, transforms: "plain" as const }, whole = { whole: true };
  if (!flags.knnEvery) {
    return await withNetwork(flags, onnx, { train: await loadSource(read, flags.seed, whole), data });
  }
  const { train, val } = await loadTask(read, flags.seed, whole);
  requireClassifierFlags(flags, train);
  const labelled = { ...read, trainDir: undefined, imageSize: train.height };
  const bank = isUnlabelled(train) ? await loadSplit(labelled, flags.trainDataset, "train") : undefined;
  if (bank !== undefined) requireSameClasses(bank, val);
  return await withNetwork(flags, onnx, { train, val, bank, data });
}

async function withNetwork(
  flags: Flags,
  onnx: OnnxFile | undefined,
  images: Omit<PriorTask, "classifier" | "weights">,
): Promise<PriorTask> {
  const classifier = classifierOf(flags, images.train, onnx);
  return { ...images, classifier, weights: await loadWeights(flags, classifier, "fresh") };
}

/** Refuses what cannot be learned from this task, before anything is tuned, removed or written. */
function requireLearnable(flags: Flags, learning: PriorLearning, task: PriorTask): void {
  if (flags.headLaplace !== "none") requireLinearHead(task.classifier, "--head-laplace");
  if (measuresCurvature(flags)) requireExamples(examplesOf(flags, task), task.train.labels.length);
  // A plan of the memory needs no schedule.
  else if (flags.method === "swag" && !flags.dryRun) requireSnapshots(learning.schedule);
}

/** What to say before the work begins. */
function remarksOf(flags: Flags, { train }: PriorTask): string[] {
  if (flags.method !== "swag") return [];
  return [...flagRemarks(flags), ...snapshotRemarks(flags, epochOf(train, flags.batchSize).stepsPerEpoch)];
}

/** Runs `prior`. */
export async function run(given: Flags, io: Io): Promise<number> {
  if (given.resume && await isFinished(given.out)) {
    io.result({ out: given.out, finished: true }, [`${given.out} is finished: there is nothing to go on with`]);
    return 0;
  }
  const unfinished = given.resume ? await openUnfinishedPrior(given.out) : undefined;
  const flags = unfinished ? resumedFlags(command.flags, given, unfinished.flags) : given;
  // A prior that was begun by an earlier version goes on with what that took.
  if (!unfinished) requireConsistentFlags(command.flags, flags);
  if (!flags.dryRun) await requireWritable(flags, targets(flags));
  const onnx = unfinished ? await networkOf(unfinished, flags.onnx) : await importedNetwork(flags);
  const task = await loadPriorTask(flags, onnx);
  const { train, classifier, weights } = task;
  requireFormat(flags, classifier);
  remarks(classifier).forEach(io.note);
  using gpu = await openGpu({ schedule: kernelScheduleOf(flags), tuning: unfinished?.tuning });
  const learning = (flags.objective === "supervised" ? fromLabels : fromViews)(gpu, flags, task);
  requireLearnable(flags, learning, task);
  if (!unfinished) remarksOf(flags, task).forEach(io.note);
  // What goes on computes as it began, whatever was found since.
  if (!unfinished && flags.method === "swag" && flags.objective === "supervised") {
    await tune(gpu, flags, classifier, learning.batchSize, io, !flags.dryRun);
  }
  if (flags.dryRun) {
    if (flags.method === "swag") reportMemory(flags, classifier, learning.estimate(), io);
    else reportCurvaturePlan(gpu, flags, task, io);
    return 0;
  }
  const settings = {
    flags: { ...settingsOf(flags), kernelSchedule: gpu.schedule },
    inputs: inputsOf(train, weights),
    onnx: onnx?.record,
    tuning: gpu.tuning,
  };
  if (unfinished) requireSameInputs(unfinished, settings.inputs);
  if (flags.profile !== undefined) await makeProfileFolder(flags.profile);
  if (!unfinished) await removeCheckpoint(flags.out);
  const start = performance.now();
  const outcome: Outcome = flags.method === "swag"
    ? await learnSnapshots(gpu, flags, { task, learning, settings, unfinished }, io)
    : { learned: await learnCurvature(gpu, flags, task, io), steps: 0, evaluations: [] };
  const head = await learnHead(gpu, flags, task, outcome.learned.weights);
  await writePriorFiles(flags, await priorFileOf(flags, classifier, outcome.learned, head?.prior));
  await removeCheckpoint(flags.out);
  reportPrior(flags, { ...outcome, head: head?.fitted }, (performance.now() - start) / 1000, io);
  return 0;
}
