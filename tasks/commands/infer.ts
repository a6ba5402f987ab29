/**
 * `swagpu infer`: samples the posterior of a downstream task and averages the samples' predictions.
 *
 * @module
 */

import denoConfig from "../../deno.json" with { type: "json" };
import { writeNpz } from "../../lib/checkpoint/npy.ts";
import { deviceAugmentation } from "../../lib/data/training_batches.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { requireRunnable } from "../../lib/inference/chain.ts";
import { estimateMemory } from "../../lib/inference/training_step.ts";
import {
  DATA_FLAGS,
  DEVICE_FLAGS,
  MODEL_FLAGS,
  OUTPUT_FLAGS,
  SAMPLER_FLAGS,
  TRAINING_FLAGS,
  TUNING_FLAGS,
} from "../cli/flag_groups.ts";
import { PRIOR_FLAGS } from "../cli/prior_flag_groups.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { metricLines } from "./evaluate.ts";
import { requireConsistentFlags } from "./infer_flags.ts";
import { type Plan, planRun } from "./infer_plan.ts";
import { inputsOf, requireSameInputs } from "./infer_resume.ts";
import { resumedFlags, settingsOf } from "./resumed_flags.ts";
import { kernelScheduleOf } from "./inputs.ts";
import { memoryLines } from "./memory.ts";
import { averageRun } from "./model_average.ts";
import { recordOf, remarks } from "./network.ts";
import { makeProfileFolder, PROFILE_FLAGS } from "./profile.ts";
import { RunFolder } from "./run_writer.ts";
import { type Outcome, sample } from "./sampling.ts";
import { tune } from "./tuning.ts";

/** Flags of `infer`. */
export const command = defineCommand({
  name: "infer",
  summary: "sample the posterior of a downstream task under a prior, and average the samples' predictions",
  permissions: "--allow-read --allow-write",
  flags: {
    ...MODEL_FLAGS,
    ...DATA_FLAGS,
    ...PRIOR_FLAGS,
    headVariance: {
      type: "number",
      default: 10,
      min: 0,
      group: "Prior",
      help: "variance of the head's zero-mean Gaussian prior; 0: none",
    },
    ...SAMPLER_FLAGS,
    ...TRAINING_FLAGS,
    clipNorm: {
      type: "number",
      min: 0,
      group: "Training",
      help: "clip the gradient's norm; it biases a sampler. Off unless given; 2 under --compat, prior included",
    },
    nesterov: { type: "boolean", default: true, group: "Training", help: "sgd with Nesterov's momentum" },
    checkpointSteps: {
      type: "integer",
      default: 100,
      min: 1,
      group: "Output",
      help: "steps between checkpoints to resume from",
    },
    ...DEVICE_FLAGS,
    ...TUNING_FLAGS,
    ...PROFILE_FLAGS,
    ...OUTPUT_FLAGS,
    out: { ...OUTPUT_FLAGS.out, required: true },
  },
  examples: [
    "infer --encoder resnet20 --prior-path prior.safetensors --train-dataset flowers17 " +
    "--data-dir flowers17 --image-size 32 --out runs/flowers",
    "infer --resume --out runs/flowers",
  ],
});

/** Values of the flags. */
export type Flags = FlagsOf<typeof command>;

/** Runs `infer`. */
export async function run(given: Flags, io: Io): Promise<number> {
  const resumed = given.resume ? await RunFolder.open(given.out) : undefined;
  if (!given.dryRun) await (resumed?.requireWritable() ?? RunFolder.requireNew(given.out));
  const flags = resumed ? resumedFlags(command.flags, given, resumed.config.flags) : given;
  // A run that was begun by an earlier version goes on with what that took.
  if (!resumed) requireConsistentFlags(command.flags, flags);
  const plan = await planRun(flags, resumed, io.note);
  requireRunnable(plan.chain);
  remarks(plan.classifier).forEach(io.note);
  using gpu = await openGpu({ schedule: kernelScheduleOf(flags), tuning: resumed?.config.tuning });
  // A run that goes on computes as it began, whatever was found since.
  if (!resumed) await tune(gpu, flags, plan.classifier, plan.chain.batchSize, io, !flags.dryRun);
  if (flags.dryRun) {
    const placing = { augmentation: undefined, ...deviceAugmentation(plan.train, plan.chain.augmentation) };
    const memory = estimateMemory(gpu, plan.classifier, { ...plan.chain, ...placing });
    io.result({ out: null, ...memory }, memoryLines(memory));
    return 0;
  }
  if (resumed) {
    requireSameInputs(plan, resumed);
    await resumed.removeLeftovers();
  }
  if (flags.profile !== undefined) await makeProfileFolder(flags.profile);
  const folder = resumed ?? await RunFolder.create(flags.out, {
    command: "infer",
    software: `swagpu ${denoConfig.version}`,
    deno: Deno.version.deno,
    adapter: gpu.adapter,
    flags: { ...settingsOf(flags), kernelSchedule: gpu.schedule },
    tuning: gpu.tuning,
    classifier: recordOf(plan.classifier, plan.onnx),
    normalisation: plan.chain.normalisation,
    valNormalisation: plan.valNormalisation,
    batchSize: plan.chain.batchSize,
    classNames: plan.train.classNames,
    data: { ...inputsOf(plan), numTrain: plan.train.labels.length },
  });
  const outcome = await sample(gpu, plan, folder, io);
  return await report(gpu, plan, folder, io, outcome);
}

async function report(
  gpu: Gpu,
  { classifier, val }: Plan,
  folder: RunFolder,
  io: Io,
  outcome: Outcome,
): Promise<number> {
  const average = await averageRun(gpu, folder, classifier, val);
  const { probabilities, entropy, mutualInformation, metrics, members } = average;
  const n = val.labels.length;
  await folder.writeFile(
    "predictions/val.npz",
    writeNpz(
      new Map([
        ["probabilities", { dtype: "float64", shape: [n, probabilities.length / n], data: probabilities }],
        ["labels", { dtype: "int32", shape: [n], data: Int32Array.from(val.labels) }],
        ["entropy", { dtype: "float64", shape: [n], data: entropy }],
        ["mutual_information", { dtype: "float64", shape: [n], data: mutualInformation }],
      ]),
    ),
  );
  const { last, ...speed } = outcome;
  const result = { out: folder.path, ...speed, loss: last?.loss, samples: members, ...metrics };
  await folder.writeFile("metrics.json", new TextEncoder().encode(JSON.stringify(result, null, 2) + "\n"));
  if (average.warning !== undefined) io.note(average.warning);
  io.result(result, [`${members} samples in ${folder.path}`, ...metricLines(metrics)]);
  return 0;
}
