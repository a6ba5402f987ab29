/**
 * `swagpu prior`: learns a prior from a checkpoint on a source task.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import type { ImageSet } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { FeatureEvaluation } from "../../lib/inference/features.ts";
import type { LearnedPrior } from "../../lib/inference/learn_prior.ts";
import { constantSwag, cyclicalSwag, type Schedule } from "../../lib/inference/schedules.ts";
import type { MemoryEstimate } from "../../lib/inference/training.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { stateDictFromWeights, type Weights } from "../../lib/models/weights.ts";
import { type PriorFile, writePrior, writePriorParts } from "../../lib/priors/files.ts";
import { DATA_FLAGS, DEVICE_FLAGS, MODEL_FLAGS, OUTPUT_FLAGS, SWAG_FLAGS, TRAINING_FLAGS } from "../cli/flag_groups.ts";
import { readInput, requireAbsent, writeAllWhole, writeWhole } from "../cli/files.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import { OBJECTIVE_FLAG, OBJECTIVE_FLAGS } from "../cli/objective_flags.ts";
import type { Io } from "../cli/output.ts";
import { classifierOf, kernelScheduleOf, loadSource, loadTask, loadWeights, sha256, sha256OfArrays } from "./inputs.ts";
import { memoryLines } from "./memory.ts";
import {
  openUnfinishedPrior,
  priorCheckpointOf,
  removeCheckpoint,
  requireNoCheckpoint,
  type UnfinishedPrior,
  writePriorCheckpoint,
} from "./prior_checkpoint.ts";
import { preparePrior, type PriorMetrics, type PriorTask, requireObjectiveFlags } from "./prior_learning.ts";
import { makeProfileFolder, PROFILE_FLAGS, profilerFor, writeProfile } from "./profile.ts";
import { Throughput } from "./throughput.ts";

/** Flags of `prior`. */
export const command = defineCommand({
  name: "prior",
  summary: "learn a prior over a backbone's weights from a checkpoint on a source task",
  permissions: "--allow-read --allow-write",
  flags: {
    ...MODEL_FLAGS,
    ...DATA_FLAGS,
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

/** Flags that do not change the prior; a resumed one takes them from the command line. */
const FREE_FLAGS = ["out", "json", "quiet", "resume", "force", "dryRun", "checkpointSteps", "profile"] as const;

/** The flags that the prior is learned with. */
function settingsOf(flags: Flags): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(flags).filter(([name]) => !(FREE_FLAGS as readonly string[]).includes(name)),
  );
}

/** What the learning began with stays; only how it reports is taken from the command line. */
function resumedFlags(given: Flags, { flags }: UnfinishedPrior): Flags {
  const free = Object.fromEntries(FREE_FLAGS.map((name) => [name, given[name]]));
  return { ...flags, operands: given.operands, ...free } as Flags;
}

/** Files that the prior will be written to. */
function targets({ out, format }: Flags): readonly string[] {
  return format === "safetensors" ? [out] : ["model", "mean", "variance", "covmat"].map((part) => `${out}_${part}.pt`);
}

/** Refuses a path that could not be written at the end, before the work begins. */
async function requireWritable({ out, force, resume }: Flags, paths: readonly string[]): Promise<void> {
  if (!force) await Promise.all(paths.map(requireAbsent));
  if (!force && !resume) await requireNoCheckpoint(out);
  const folder = out.includes("/") ? out.slice(0, out.lastIndexOf("/")) || "/" : ".";
  try {
    await Deno.remove(await Deno.makeTempFile({ dir: folder, prefix: "swagpu-", suffix: ".partial" }));
  } catch (cause) {
    throw new Error(`Cannot write ${out}: ${(cause as Error).message}; a folder that can be written is required`, {
      cause,
    });
  }
  for (const path of paths) {
    const found = await Deno.stat(path).catch(() => undefined);
    if (found?.isDirectory) throw new Error(`Cannot write ${path}: it is a folder, and a file's path is required`);
  }
}

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

/** The file of a learned prior: its weights and where they come from. */
async function priorFileOf(
  flags: Flags,
  classifier: ClassifierConfig,
  { swag, weights }: LearnedPrior,
): Promise<PriorFile> {
  const layouts = layoutModel(classifier);
  const source = flags.weightsPath ?? flags.onnx;
  return {
    swag,
    parameters: layouts.backbone.entries.map(({ name, torchShape }) => ({ name, shape: torchShape })),
    model: stateDictFromWeights(layouts, weights, ["backbone", "state"]),
    metadata: {
      architecture: flags.encoder,
      ...source === undefined ? { source: `${flags.objective}, seed ${flags.seed}`, sourceSha256: "" } : {
        source: source.split("/").at(-1)!,
        sourceSha256: await sha256(await readInput(source, "a checkpoint")),
      },
      software: `swagpu ${config.version}`,
    },
  };
}

/** What the prior depends on besides the flags, as SHA-256. */
async function inputsOf(train: ImageSet, { backbone, head, state }: Weights): Promise<Record<string, string>> {
  return { train: train.hash, weights: await sha256OfArrays([backbone, head, state]) };
}

/** Refuses to go on with a prior from other images or other weights. */
function requireSameInputs({ path, inputs }: UnfinishedPrior, found: Readonly<Record<string, string>>): void {
  for (const [key, name] of Object.entries({ train: "training images", weights: "first weights" })) {
    if (inputs[key] === found[key]) continue;
    throw new Error(`Cannot resume ${path}: the ${name} differ from the prior's; the same ones are required`);
  }
}

/** Images, network and first weights. */
async function loadPriorTask(flags: Flags): Promise<PriorTask> {
  const { train, val } = flags.knnEvery
    ? await loadTask(flags, flags.seed)
    : { train: await loadSource(flags, flags.seed), val: undefined };
  const classifier = classifierOf(flags, train);
  return { train, val, classifier, weights: await loadWeights(flags, classifier, "fresh") };
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
  const task = await loadPriorTask(flags);
  const { train, classifier, weights } = task;
  using gpu = await openGpu({ schedule: kernelScheduleOf(flags) });
  const learning = preparePrior(gpu, flags, task, (stepsPerEpoch) => scheduleOf(flags, stepsPerEpoch));
  if (flags.dryRun) {
    reportMemory(flags, classifier, learning.estimate(), io);
    return 0;
  }
  const settings = {
    flags: { ...settingsOf(flags), kernelSchedule: gpu.schedule },
    inputs: await inputsOf(train, weights),
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
  await writeFiles(flags, await priorFileOf(flags, classifier, learned));
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

async function writeFiles(flags: Flags, prior: PriorFile): Promise<void> {
  if (flags.format === "safetensors") return await writeWhole(flags.out, writePrior(prior), flags.force);
  const parts = Object.entries(writePriorParts(prior));
  await writeAllWhole(new Map(parts.map(([name, bytes]) => [`${flags.out}_${name}.pt`, bytes])), flags.force);
}
