/**
 * `swagpu evaluate`: metrics of a checkpoint or of a run on a data set.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import { computeMetrics, type Metrics } from "../../lib/evaluation/metrics.ts";
import { softmax } from "../../lib/evaluation/softmax.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { PredictionSession } from "../../lib/inference/prediction.ts";
import { DeviceModel } from "../../lib/models/device_model.ts";
import { COMPAT_FLAG, DATA_FLAGS, DEVICE_FLAGS, MODEL_FLAGS, REPORT_FLAGS } from "../cli/flag_groups.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { classifierOf, kernelScheduleOf, loadSplit, loadWeights } from "./inputs.ts";
import { averageRun } from "./model_average.ts";
import { RunFolder } from "./run_writer.ts";
import { type DataFlags, normalisationOf } from "./treatment.ts";

/** Flags of `evaluate`. */
export const command = defineCommand({
  name: "evaluate",
  summary: "metrics of a checkpoint, or of a run's model average, on a data set",
  permissions: "--allow-read",
  flags: {
    run: { type: "string", value: "DIR", group: "Model", help: "folder of a run of infer: average its samples" },
    encoder: MODEL_FLAGS.encoder,
    weightsPath: MODEL_FLAGS.weightsPath,
    onnx: MODEL_FLAGS.onnx,
    smallStem: MODEL_FLAGS.smallStem,
    seed: MODEL_FLAGS.seed,
    valDataset: { ...DATA_FLAGS.valDataset, default: "cifar10", help: "set that metrics are computed on" },
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
    ...DEVICE_FLAGS,
    ...REPORT_FLAGS,
  },
  examples: [
    "evaluate --encoder resnet20 --weights-path resnet20.th --val-dataset cifar10 --data-dir cifar10 --json",
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

/** Runs `evaluate`. */
export async function run(flags: FlagsOf<typeof command>, io: Io): Promise<number> {
  if ((flags.run === undefined) === ((flags.weightsPath ?? flags.onnx) === undefined)) {
    throw new UsageError("Cannot evaluate: exactly one of --run and --weights-path (or --onnx) is required");
  }
  const folder = flags.run === undefined ? undefined : await RunFolder.open(flags.run);
  const data = { ...DEFAULT_DATA, ...flags, trainDataset: flags.valDataset, ...recordedTreatment(flags, folder) };
  const set = await loadSplit(data, flags.valDataset, "val");
  using gpu = await openGpu({ schedule: kernelScheduleOf(flags) ?? folder?.config.flags.kernelSchedule });
  if (folder !== undefined) {
    const average = await averageRun(gpu, folder, set);
    io.result({ run: folder.path, samples: average.members, ...average.metrics }, metricLines(average.metrics));
    return 0;
  }
  const config = classifierOf(flags, set);
  const model = new DeviceModel(gpu, config);
  model.write(await loadWeights(flags, config, "require"));
  const options = {
    batchSize: Math.min(flags.batchSize, set.labels.length),
    normalisation: normalisationOf(data, "val"),
  };
  const session = await PredictionSession.create(model, options);
  const metrics = computeMetrics(softmax(await session.logits(set), config.numClasses), set.labels);
  io.result({ ...metrics }, metricLines(metrics));
  return 0;
}

/** A run's images are treated as it was trained. */
function recordedTreatment(flags: FlagsOf<typeof command>, folder: RunFolder | undefined): Partial<DataFlags> {
  if (folder === undefined) return {};
  const { flags: { encoder, smallStem, transforms }, classifier } = folder.config;
  return {
    encoder,
    smallStem,
    transforms: flags.transforms === "auto" ? transforms : flags.transforms,
    imageSize: flags.imageSize ?? classifier.height,
  };
}

/** Data flags that evaluation does not take. */
const DEFAULT_DATA = {
  trainDir: undefined,
  numOfTrainExamples: undefined,
  valSplit: 0,
  augmentation: "none",
} as const;
