/**
 * What a run of `infer` is made of, from its flags: network, images, prior, sampler and schedule.
 *
 * @module
 */

import { epochOf } from "../../lib/data/training_order.ts";
import type { ImageSource } from "../../lib/data/dataset.ts";
import type { ChainOptions } from "../../lib/inference/chain.ts";
import type { SamplerSettings } from "../../lib/inference/samplers.ts";
import type { Normalisation } from "../../lib/data/normalisation.ts";
import { type ClassifierConfig, onnxNetworkOf } from "../../lib/models/network.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import type { PriorFile } from "../../lib/priors/prior_file.ts";
import { requirePriorFits } from "../../lib/priors/device_gaussian.ts";
import { type Gaussian, isotropic, shiftedGaussian } from "../../lib/priors/gaussian.ts";
import { type HeadPrior, requireHeadClasses, scaleHead } from "../../lib/priors/head_gaussian.ts";
import { requireSameParameters } from "../../lib/priors/parameter_order.ts";
import type { Flags } from "./infer.ts";
import { scheduleOf } from "./infer_schedule.ts";
import { loadTask, requireLabels } from "./inputs.ts";
import { classifierOf, importedNetwork, loadWeights, recordedNetwork, statedTreatment } from "./network.ts";
import type { OnnxFile } from "./onnx_file.ts";
import { normalisationLine, readPriorAt } from "./prior_files.ts";
import type { RunFolder } from "./run_writer.ts";
import { augmentationOf, normalisationOf } from "./treatment.ts";

/** Everything a run is made of. */
export interface Plan {
  readonly flags: Flags;
  readonly classifier: ClassifierConfig;
  /** The file of an imported network. */
  readonly onnx: OnnxFile | undefined;
  readonly train: ImageSource;
  readonly val: ImageSource;
  /** From bytes to inputs where the run is evaluated. */
  readonly valNormalisation: Normalisation;
  readonly chain: ChainOptions;
}

/** The norm at which the original clips likelihood and prior together (defect D9). */
const COMPAT_CLIP_NORM = 2;

/** Weights that the chain starts from: the checkpoint's, else the prior's mean network, else the file's or fresh ones. */
async function startOf(
  flags: Flags,
  classifier: ClassifierConfig,
  prior: PriorFile | undefined,
  head: HeadPrior | undefined,
): Promise<Weights> {
  const weights = prior === undefined || flags.weightsPath !== undefined
    ? await loadWeights(flags, classifier, "fresh")
    : weightsFromStateDict(layoutModel(classifier), prior.model, { head: "fresh", seed: flags.seed });
  return head === undefined ? weights : { ...weights, head: head.mean };
}

/** The learned prior of the head, where it is asked for; refuses one of another head or of other classes. */
function headPriorOf(
  { headPrior, headScale, priorPath }: Flags,
  classifier: ClassifierConfig,
  prior: PriorFile | undefined,
  train: ImageSource,
): HeadPrior | undefined {
  if (headPrior !== "learned") return undefined;
  if (prior?.head === undefined) {
    throw new TypeError(
      `Cannot use --head-prior learned: ${priorPath} has no prior of a head; learn one by prior --head-laplace`,
    );
  }
  requireHeadClasses(prior.head, train.classNames, train.name);
  requirePriorFits(prior.head, layoutModel(classifier).head);
  return scaleHead(prior.head, headScale);
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
      return shiftedGaussian(prior!.swag, {
        scale: flags.priorScale,
        eps: flags.priorEps,
        rank: flags.numberOfSamplesPrior,
        compat: flags.compat,
      });
  }
}

/** The prior of `--prior-path`; refuses one that is not over the network's parameters in their order. */
async function learnedPrior(
  flags: Flags,
  classifier: ClassifierConfig,
  note: (line: string) => void,
): Promise<PriorFile | undefined> {
  const { priorPath: path } = flags;
  if (path === undefined) return undefined;
  const prior = await readPriorAt(path, {
    onNormalisation: (found) => note(normalisationLine(path, found)),
    normalised: flags.priorNormalisation === "auto" ? undefined : flags.priorNormalisation === "normalised",
    consume: true,
    // Names of other networks than residual ones may begin as a wrapper's do.
    keepPrefixes: onnxNetworkOf(classifier) !== undefined,
  });
  requireSameParameters(prior.parameters, layoutModel(classifier).backbone.entries);
  return prior;
}

/**
 * Reads all that a run needs; computes nothing.
 *
 * @param resumed the run that is to go on, whose network's file must be the same
 * @param note told what was found out about a file that does not say it
 */
export async function planRun(
  flags: Flags,
  resumed: RunFolder | undefined,
  note: (line: string) => void,
): Promise<Plan> {
  const onnx = resumed === undefined ? await importedNetwork(flags) : await recordedNetwork(resumed, flags.onnx);
  const data = { ...flags, ...statedTreatment(onnx, flags) };
  const { train, val } = await loadTask(data, flags.seed);
  requireLabels(train);
  const classifier = classifierOf(flags, train, onnx);
  const prior = await learnedPrior(flags, classifier, note);
  const headPrior = headPriorOf(flags, classifier, prior, train);
  const weights = await startOf(flags, classifier, prior, headPrior);
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
    normalisation: normalisationOf(data),
    augmentation: augmentationOf(data),
    labelSmoothing: flags.labelSmoothing,
    recompute: flags.recompute,
    precision: flags.precision,
    settings,
    clipNorm: flags.clipNorm ?? (flags.compat ? COMPAT_CLIP_NORM : undefined),
    seed: flags.seed,
    prior: priorOf(flags, prior, weights),
    priorEps: flags.priorEps,
    headVariance: headPrior === undefined && flags.headVariance > 0 ? flags.headVariance : undefined,
    headPrior,
    schedule: scheduleOf(flags, stepsPerEpoch),
  };
  return { flags, classifier, onnx, train, val, valNormalisation: normalisationOf(data, "val"), chain };
}
