/**
 * `swagpu evaluate`: metrics of a checkpoint or of a run on a data set.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import { computeMetrics, type Metrics } from "../../lib/evaluation/metrics.ts";
import { softmax } from "../../lib/evaluation/softmax.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { type PredictionOptions, PredictionSession } from "../../lib/inference/prediction.ts";
import { DeviceModel } from "../../lib/models/device_model.ts";
import { COMPAT_FLAG, DATA_FLAGS, DEVICE_FLAGS, MODEL_FLAGS, REPORT_FLAGS } from "../cli/flag_groups.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { refuseUnread } from "../cli/unread_flags.ts";
import { kernelScheduleOf, loadSplit } from "./inputs.ts";
import {
  LAPLACE_FLAGS,
  type LaplaceSets,
  loadSets,
  predictLaplace,
  requireLaplaceFlags,
  requireLinearHead,
} from "./laplace.ts";
import { averageRun } from "./model_average.ts";
import { classifierOf, importedNetwork, loadWeights, recordedClassifier, remarks, statedTreatment } from "./network.ts";
import type { OnnxFile } from "./onnx_file.ts";
import { loadRunImages } from "./run_images.ts";
import { RunFolder } from "./run_writer.ts";
import { normalisationOf } from "./treatment.ts";

/** What a checkpoint is evaluated on where nothing is said. */
const DEFAULT_SET = "cifar10";

/** Flags of `evaluate`. */
export const command = defineCommand({
  name: "evaluate",
  summary: "metrics of a checkpoint, or of a run's model average, on a data set",
  permissions: "--allow-read",
  flags: {
    run: { type: "string", value: "DIR", group: "Model", help: "folder of a run of infer: average its samples" },
    encoder: MODEL_FLAGS.encoder,
    weightsPath: MODEL_FLAGS.weightsPath,
    onnx: {
      ...MODEL_FLAGS.onnx,
      help: "a classifier's ONNX file, in place of --encoder and --weights-path; with --run: where the run's lies now",
    },
    head: MODEL_FLAGS.head,
    smallStem: MODEL_FLAGS.smallStem,
    seed: MODEL_FLAGS.seed,
    valDataset: {
      ...DATA_FLAGS.valDataset,
      help: `set that metrics are computed on; a run's own, with where it lies, or ${DEFAULT_SET}, unless given`,
    },
    dataDir: DATA_FLAGS.dataDir,
    valDir: DATA_FLAGS.valDir,
    imageSize: DATA_FLAGS.imageSize,
    numOfLabels: DATA_FLAGS.numOfLabels,
    corruption: DATA_FLAGS.corruption,
    severity: DATA_FLAGS.severity,
    classList: DATA_FLAGS.classList,
    transforms: DATA_FLAGS.transforms,
    normalisation: DATA_FLAGS.normalisation,
    ...COMPAT_FLAG,
    batchSize: { ...DATA_FLAGS.batchSize, default: 100 },
    cacheDir: {
      ...DATA_FLAGS.cacheDir,
      help: "take decoded images from DIR, and keep them there where --allow-write lets it; see infer",
    },
    cacheSize: DATA_FLAGS.cacheSize,
    precision: {
      type: "choice",
      choices: ["f32", "mixed"],
      group: "Device",
      help: "how activations are stored; a run's own, or f32, unless given",
    },
    ...LAPLACE_FLAGS,
    ...DEVICE_FLAGS,
    ...REPORT_FLAGS,
  },
  examples: [
    "evaluate --encoder resnet20 --weights-path resnet20.th --val-dataset cifar10 --data-dir cifar10 --json",
    "evaluate --encoder resnet20 --weights-path resnet20.th --val-dataset cifar10 --data-dir cifar10 --laplace kronecker",
    "evaluate --run runs/flowers",
    "evaluate --run runs/flowers --val-dataset flowers17 --data-dir flowers17",
  ],
});

/** The metrics as lines for people. */
export function metricLines(metrics: Metrics): string[] {
  const { n, accuracy, nll, ece, brier, entropy, mutualInformation } = metrics;
  return [
    `examples            ${n}`,
    `accuracy            ${(100 * accuracy).toFixed(2)} %`,
    `NLL                 ${nll.toFixed(4)} nats`,
    `ECE (15 bins)       ${ece.toFixed(4)}`,
    `Brier               ${brier.toFixed(4)}`,
    `predictive entropy  ${entropy.toFixed(4)} nats`,
    ...(mutualInformation === undefined ? [] : [`mutual information  ${mutualInformation.toFixed(4)} nats`]),
  ];
}

type Flags = FlagsOf<typeof command>;

/** Runs `evaluate`. */
export async function run(flags: Flags, io: Io): Promise<number> {
  requireConsistentFlags(flags);
  return flags.run === undefined ? await evaluateWeights(flags, io) : await evaluateRun(flags, flags.run, io);
}

/** What a run's own settings say. */
const OF_RUN = ["encoder", "head", "smallStem", "seed", "normalisation", "compat", "batchSize"];

/**
 * Refuses what contradicts itself or would be ignored.
 *
 * @throws UsageError that names the flags
 */
export function requireConsistentFlags(flags: Flags): void {
  const { run, laplace, weightsPath, onnx } = flags;
  requireLaplaceFlags(flags);
  if (run !== undefined && laplace !== "none") {
    throw new UsageError("Cannot use --laplace with --run: its samples are of all layers; give --weights-path instead");
  }
  if (run === undefined ? (weightsPath ?? onnx) === undefined : weightsPath !== undefined) {
    throw new UsageError("Cannot evaluate: exactly one of --run and --weights-path (or --onnx) is required");
  }
  if (laplace !== "none") {
    refuseUnread(command.flags, flags, ["precision"], "with --laplace: features are taken in f32");
  }
  if (run === undefined) return;
  refuseUnread(command.flags, flags, OF_RUN, "with --run: the run has its own, which is used");
}

async function evaluateRun(flags: Flags, path: string, io: Io): Promise<number> {
  const folder = await RunFolder.open(path);
  const classifier = await recordedClassifier(folder, flags.onnx);
  const set = await loadRunImages(flags, folder);
  using gpu = await openGpu({
    schedule: kernelScheduleOf(flags) ?? folder.config.flags.kernelSchedule,
    tuning: folder.config.tuning,
  });
  const average = await averageRun(gpu, folder, classifier, set, flags.precision);
  io.result({ run: folder.path, samples: average.members, ...average.metrics }, metricLines(average.metrics));
  return 0;
}

async function evaluateWeights(flags: Flags, io: Io): Promise<number> {
  const onnx = await importedNetwork(flags);
  const { valDataset = DEFAULT_SET } = flags, trained = { trainDataset: flags.trainDataset ?? valDataset };
  const data = { ...DEFAULT_DATA, ...flags, ...trained, ...statedTreatment(onnx, flags) };
  const set = await loadSplit(data, valDataset, "val");
  const config = classifierOf(flags, set, onnx);
  requireClasses(flags, set, onnx);
  if (flags.laplace !== "none") requireLinearHead(config);
  const sets = flags.laplace === "none" ? undefined : await loadSets(data, flags.seed, set);
  remarks(config).forEach(io.note);
  using gpu = await openGpu({ schedule: kernelScheduleOf(flags) });
  const model = new DeviceModel(gpu, config);
  model.write(await loadWeights(flags, config, "require"));
  const options = {
    batchSize: Math.min(flags.batchSize, set.labels.length),
    normalisation: normalisationOf(data, "val"),
    precision: flags.precision,
  };
  if (sets !== undefined) return await reportLaplace(flags, model, sets, options, io);
  const session = await PredictionSession.create(model, options);
  const metrics = computeMetrics(softmax(await session.logits(set), config.numClasses), set.labels);
  io.result({ ...metrics }, metricLines(metrics));
  return 0;
}

/** Refuses a set of other classes than those that an imported network tells apart. */
function requireClasses({ onnx: path, weightsPath }: Flags, set: ImageSource, onnx: OnnxFile | undefined): void {
  const { length } = set.classNames, stated = onnx?.network.head.numClasses ?? length;
  if (stated === length || weightsPath !== undefined) return;
  throw new TypeError(
    `Cannot evaluate ${path} on ${set.name}: it tells ${stated} classes apart, but the set has ${length}; infer ` +
      "trains a head for them",
  );
}

async function reportLaplace(
  flags: Flags,
  model: DeviceModel,
  sets: LaplaceSets,
  options: PredictionOptions,
  io: Io,
): Promise<number> {
  const { probabilities, fitted: { precision, logEvidence } } = await predictLaplace(model, sets, flags, options);
  const metrics = computeMetrics(probabilities, sets.set.labels);
  const examples = sets.train.labels.length;
  io.result({ ...metrics, laplace: { curvature: flags.laplace, precision, logEvidence } }, [
    ...metricLines(metrics),
    `last layer          ${flags.laplace} curvature of ${examples} images, precision ${precision.toPrecision(4)}`,
  ]);
  return 0;
}

/** Data flags that evaluation does not take. */
const DEFAULT_DATA = {
  valSplit: 0,
  augmentation: "none",
} as const;
