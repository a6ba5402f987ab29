/**
 * The Bayesian model average of a run's samples on a data set.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import { computeMetrics, type Metrics } from "../../lib/evaluation/metrics.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/inference/training.ts";
import { averagePredictions } from "../../lib/inference/prediction.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import type { RunFolder } from "./run_writer.ts";

/** What a run predicts. */
export interface RunAverage {
  readonly members: number;
  /** [n, classes] */
  readonly probabilities: Float64Array;
  /** Per example, in nats. */
  readonly entropy: Float64Array;
  readonly mutualInformation: Float64Array;
  readonly metrics: Metrics;
  /** Says that the members hardly differ, if so. */
  readonly warning: string | undefined;
}

/**
 * Averages the softmax of every sample of a run.
 *
 * @param classifier the run's
 * @param precision default: the run's own
 */
export async function averageRun(
  gpu: Gpu,
  folder: RunFolder,
  classifier: ClassifierConfig,
  set: ImageSource,
  precision: Precision = folder.config.flags.precision ?? "f32",
): Promise<RunAverage> {
  if (folder.samples.length === 0) {
    throw new Error(`Cannot average ${folder.path}: it holds no samples; finish the run with infer --resume`);
  }
  const { batchSize } = folder.config;
  const normalisation = folder.config.valNormalisation ?? folder.config.normalisation;
  if (set.classNames.length !== classifier.numClasses) {
    throw new TypeError(
      `Cannot average ${folder.path} on ${set.name}: it has ${set.classNames.length} classes, but the run ` +
        `has ${classifier.numClasses}`,
    );
  }
  const layouts = layoutModel(classifier);
  const samples = (async function* () {
    for (const entry of folder.samples) yield await folder.readSample(layouts, entry);
  })();
  const average = await averagePredictions(gpu, classifier, samples, set, {
    batchSize,
    normalisation,
    precision,
  });
  const probabilities = average.probabilities();
  const mutualInformation = average.mutualInformation();
  return {
    members: average.members,
    probabilities,
    entropy: average.entropyOfMean(),
    mutualInformation,
    metrics: computeMetrics(probabilities, set.labels, mutualInformation),
    warning: folder.samples.length > 1 ? average.warning() : undefined,
  };
}
