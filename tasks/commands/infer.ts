/**
 * `swagpu infer`: samples the posterior of a downstream task and averages the samples' predictions.
 *
 * @module
 */

import denoConfig from "../../deno.json" with { type: "json" };
import { writeNpz } from "../../lib/checkpoint/npy.ts";
import { epochOf } from "../../lib/data/batches.ts";
import type { ImageSource } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { type ChainOptions, requireRunnable, runChain } from "../../lib/inference/chain.ts";
import type { SamplerSettings } from "../../lib/inference/samplers.ts";
import { constant, cosine, cyclical, type Schedule } from "../../lib/inference/schedules.ts";
import { estimateMemory, type StepMetrics } from "../../lib/inference/training.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import type { PriorFile } from "../../lib/priors/files.ts";
import { type Gaussian, isotropic, shiftedGaussian } from "../../lib/priors/gaussian.ts";
import {
  DATA_FLAGS,
  DEVICE_FLAGS,
  MODEL_FLAGS,
  OUTPUT_FLAGS,
  PRIOR_FLAGS,
  SAMPLER_FLAGS,
  TRAINING_FLAGS,
} from "../cli/flag_groups.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { metricLines } from "./evaluate.ts";
import { classifierOf, kernelScheduleOf, loadPrior, loadTask, loadWeights, sha256OfArrays } from "./inputs.ts";
import { memoryLines } from "./memory.ts";
import { averageRun } from "./model_average.ts";
import { makeProfileFolder, PROFILE_FLAGS, profilerFor, writeProfile } from "./profile.ts";
import { RunFolder } from "./run_writer.ts";
import { Throughput } from "./throughput.ts";
import { augmentationOf, normalisationOf } from "./treatment.ts";

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

type Flags = FlagsOf<typeof command>;

/** Everything a run is made of. */
interface Plan {
  readonly flags: Flags;
  readonly classifier: ClassifierConfig;
  readonly train: ImageSource;
  readonly val: ImageSource;
  readonly chain: ChainOptions;
}

/** The norm at which the original clips likelihood and prior together (defect D9). */
const COMPAT_CLIP_NORM = 2;

/** Flags that do not change what a run computes; a resumed run takes them from the command line. */
const FREE_FLAGS = ["out", "json", "quiet", "resume", "dryRun", "checkpointSteps", "profile"] as const;

/** Weights that the chain starts from: the prior's mean network, else the checkpoint's, else fresh ones. */
async function startOf(flags: Flags, classifier: ClassifierConfig, prior: PriorFile | undefined): Promise<Weights> {
  const weights = await loadWeights(flags, classifier, "fresh");
  if (prior === undefined || flags.weightsPath !== undefined || flags.onnx !== undefined) return weights;
  return weightsFromStateDict(layoutModel(classifier), prior.model, { head: "fresh", seed: flags.seed });
}

function priorOf(flags: Flags, prior: PriorFile | undefined, start: Weights): Gaussian | undefined {
  const mean = prior?.swag.mean ?? start.backbone;
  switch (flags.priorType) {
    case "none":
      return undefined;
    case "normal":
      return isotropic(new Float32Array(start.backbone.length), flags.priorScale);
    case "isotropic":
      return isotropic(mean, flags.priorScale);
    default:
      if (prior === undefined) {
        throw new UsageError("Cannot use --prior-type shifted_gaussian without a learned prior: give --prior-path");
      }
      return shiftedGaussian(prior.swag, {
        scale: flags.priorScale,
        eps: flags.priorEps,
        rank: flags.numberOfSamplesPrior,
        compat: flags.compat,
      });
  }
}

function scheduleOf(flags: Flags, stepsPerEpoch: number): Schedule {
  const steps = Math.min(flags.maxSteps ?? Infinity, flags.epochs * stepsPerEpoch);
  const samples = flags.sampler === "sgd" ? 1 : Math.min(flags.nSamples, Math.ceil(steps / 2));
  if (flags.schedule === "cyclical") {
    return cyclical({ learningRate: flags.lr, steps, cycles: Math.min(flags.nCycles, steps), samples });
  }
  return flags.schedule === "constant"
    ? constant({ learningRate: flags.lr, steps, samples })
    : cosine({ learningRate: flags.lr, steps, samples });
}

async function planRun(flags: Flags): Promise<Plan> {
  const { train, val } = await loadTask(flags, flags.seed);
  const classifier = classifierOf(flags, train);
  const prior = flags.priorPath === undefined ? undefined : await loadPrior(flags.priorPath, flags.priorNormalisation);
  const weights = await startOf(flags, classifier, prior);
  const { batchSize, stepsPerEpoch } = epochOf(train, flags.batchSize);
  const settings: SamplerSettings = {
    sampler: flags.sampler,
    momentum: flags.momentum,
    temperature: flags.temperature,
    numData: train.labels.length,
    priorStep: flags.priorStep,
    nesterov: flags.nesterov,
    weightDecay: flags.weightDecay,
    compat: flags.compat,
  };
  const chain: ChainOptions = {
    model: classifier,
    weights,
    train,
    batchSize,
    normalisation: normalisationOf(flags),
    augmentation: augmentationOf(flags),
    labelSmoothing: flags.labelSmoothing,
    recompute: flags.recompute,
    settings,
    clipNorm: flags.clipNorm ?? (flags.compat ? COMPAT_CLIP_NORM : undefined),
    seed: flags.seed,
    prior: priorOf(flags, prior, weights),
    priorEps: flags.priorEps,
    headVariance: flags.headVariance > 0 ? flags.headVariance : undefined,
    schedule: scheduleOf(flags, stepsPerEpoch),
  };
  return { flags, classifier, train, val, chain };
}

/** The flags that a run is repeated with. */
function settingsOf(flags: Flags): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(flags).filter(([name]) => !(FREE_FLAGS as readonly string[]).includes(name)),
  );
}

/** What a run is started with stays; only where it lies and how it reports is taken from the command line. */
function resumedFlags(given: Flags, { config }: RunFolder): Flags {
  const free = Object.fromEntries(FREE_FLAGS.map((name) => [name, given[name]]));
  return { operands: given.operands, ...config.flags, ...free };
}

/** What a run depends on besides its flags, as SHA-256. */
async function inputsOf({ train, val, chain }: Plan): Promise<Record<string, string>> {
  const { backbone, head, state } = chain.weights;
  const prior = chain.prior === undefined ? [] : [chain.prior.mean, chain.prior.psi, ...chain.prior.rows];
  return {
    train: train.hash,
    val: val.hash,
    weights: await sha256OfArrays([backbone, head, state]),
    prior: await sha256OfArrays(prior),
  };
}

/** Refuses to go on with a run on other images, or from other weights or another prior. */
async function requireSameInputs(plan: Plan, { path, config }: RunFolder): Promise<void> {
  const names = { train: "training images", val: "validation images", weights: "first weights", prior: "prior" };
  const inputs = await inputsOf(plan);
  for (const [key, name] of Object.entries(names)) {
    if (config.data[key] === inputs[key]) continue;
    throw new Error(`Cannot resume ${path}: the ${name} differ from the run's; the same ones are required`);
  }
}

/** Runs `infer`. */
export async function run(given: Flags, io: Io): Promise<number> {
  const resumed = given.resume ? await RunFolder.open(given.out) : undefined;
  if (!given.resume && !given.dryRun) await RunFolder.requireAbsent(given.out);
  const flags = resumed ? resumedFlags(given, resumed) : given;
  const plan = await planRun(flags);
  requireRunnable(plan.chain);
  using gpu = await openGpu({ schedule: kernelScheduleOf(flags) });
  if (flags.dryRun) {
    const memory = estimateMemory(gpu, plan.classifier, plan.chain);
    io.result({ out: null, ...memory }, memoryLines(memory));
    return 0;
  }
  if (resumed) await requireSameInputs(plan, resumed);
  if (flags.profile !== undefined) await makeProfileFolder(flags.profile);
  const folder = resumed ?? await RunFolder.create(flags.out, {
    command: "infer",
    software: `swagpu ${denoConfig.version}`,
    deno: Deno.version.deno,
    adapter: gpu.adapter,
    flags: { ...settingsOf(flags), kernelSchedule: gpu.schedule },
    classifier: plan.classifier,
    normalisation: plan.chain.normalisation,
    valNormalisation: normalisationOf(flags, "val"),
    batchSize: plan.chain.batchSize,
    classNames: plan.train.classNames,
    data: { ...await inputsOf(plan), numTrain: plan.train.labels.length },
  });
  const outcome = await sample(gpu, plan, folder, io);
  return await report(gpu, plan, folder, io, outcome);
}

/** What sampling reported. */
interface Outcome {
  readonly steps: number;
  readonly seconds: number;
  readonly imagesPerSecond: number | undefined;
  readonly last: StepMetrics | undefined;
}

async function sample(gpu: Gpu, { flags, classifier, chain }: Plan, folder: RunFolder, io: Io): Promise<Outcome> {
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

async function report(gpu: Gpu, { val }: Plan, folder: RunFolder, io: Io, outcome: Outcome): Promise<number> {
  const average = await averageRun(gpu, folder, val);
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
