/**
 * Which flags of `prior` go together. What would be ignored, or would fail only after the training, is refused at once.
 *
 * @module
 */

import type { ImageFacts } from "../../lib/data/dataset.ts";
import { isUnlabelled } from "../../lib/data/stl10.ts";
import { UsageError } from "../../lib/errors.ts";
import type { PcaRank } from "../../lib/priors/subspace/principal_components.ts";
import { TUNING_FLAGS } from "../cli/flag_groups.ts";
import { SWAG_FLAGS } from "../cli/prior_flag_groups.ts";
import type { FlagTable } from "../cli/flags.ts";
import { OBJECTIVE_FLAGS, PRETRAINING_FLAGS } from "../cli/objective_flags.ts";
import { refuseUnread } from "../cli/unread_flags.ts";
import { type Refuse, requireReadDataFlags } from "./data_flags.ts";
import type { Flags } from "./prior.ts";
import { requireHeadFlags } from "./prior_head.ts";

/** What the curvature at a checkpoint does not depend on: nothing is trained. */
const TRAINING = [
  "augmentation",
  "epochs",
  ...Object.keys(PRETRAINING_FLAGS),
  "maxSteps",
  "momentum",
  "labelSmoothing",
  "recompute",
  "precision",
  ...Object.keys(SWAG_FLAGS),
  "chains",
  ...Object.keys(TUNING_FLAGS),
  "checkpointSteps",
  "profile",
];

/** What a loss without labels does not depend on: views are cut, coloured and compared in ways of their own. */
const LABELS = ["augmentation", "labelSmoothing", "recompute", "precision", ...Object.keys(TUNING_FLAGS)];

/**
 * The value of `--pca-rank`.
 *
 * @throws UsageError where it is none
 */
export function pcaRankOf({ pcaRank, subspace, maxRank }: Flags): PcaRank | undefined {
  if (pcaRank === undefined) return undefined;
  if (subspace !== "pca") {
    throw new UsageError(`Cannot use --pca-rank with --subspace ${subspace}: --subspace pca is required`);
  }
  if (pcaRank === "mle") return pcaRank;
  const rank = Number(pcaRank);
  if (Number.isInteger(rank) && rank >= 1 && rank <= maxRank) return rank;
  throw new UsageError(
    `Cannot use --pca-rank ${pcaRank}: mle, or a whole number from 1 to --max-rank ${maxRank}, is required`,
  );
}

/**
 * Refuses what would fail, would mean something else or would be ignored.
 *
 * @param table of `prior`
 * @throws UsageError that names the flags
 */
export function requireConsistentFlags(table: FlagTable, flags: Flags): void {
  const refuse = (names: readonly string[], why: string) => refuseUnread(table, flags, names, why);
  const { method, objective, weightsPath, onnx } = flags;
  if (method !== "swag" && objective !== "supervised") {
    throw new UsageError(
      `Cannot use --method ${method} with --objective ${objective}: --objective supervised is required`,
    );
  }
  if (method === "swag") {
    refuse(["fisherExamples", "sourcePrecision"], "with --method swag: --method laplace or fisher is required");
    requireSnapshotFlags(flags, refuse);
  } else refuse(TRAINING, `with --method ${method}: it trains nothing, and --method swag is required`);
  if (method === "last-layer") {
    refuse(["fisherExamples", "sourcePrecision"], `with --method ${method}: --method laplace or fisher is required`);
  }
  if (objective === "supervised") {
    const required = "with --objective supervised: an objective without labels is required";
    refuse(Object.keys(OBJECTIVE_FLAGS), required);
    const unmeasured = "with --objective supervised: it measures nothing, and an objective without labels is required";
    requireReadDataFlags(flags, refuse, unmeasured);
    if ((weightsPath ?? onnx) === undefined && !flags.pretrainEpochs) {
      throw new UsageError(
        "Cannot learn a prior: a pre-trained network is required; give --weights-path or --onnx, or --pretrain-epochs to " +
          "train one from scratch",
      );
    }
  } else {
    refuse(LABELS, `with --objective ${objective}: --objective supervised is required`);
    requireViewFlags(flags, refuse);
    const unmeasured = flags.knnEvery ? undefined : "without --knn-every: nothing is measured, and it is required";
    requireReadDataFlags(flags, refuse, unmeasured);
  }
  requireHeadFlags(flags);
  requireFormatFlags(flags);
}

function requireSnapshotFlags(flags: Flags, refuse: Refuse): void {
  pcaRankOf(flags);
  requirePretrainingFlags(flags, refuse);
  if (flags.swagScheduler === "constant") {
    refuse(["nSamples", "nCycles"], "with --swag-scheduler constant: --swag-scheduler cyclic is required");
    if (flags.annealFrom === undefined) refuse(["annealingEpochs"], "without --anneal-from: it is required");
    return;
  }
  const constant = ["intervalSteps", "annealFrom", "annealingEpochs"];
  refuse(constant, "with --swag-scheduler cyclic: --swag-scheduler constant is required");
}

function requirePretrainingFlags({ pretrainEpochs, warmupEpochs = 0 }: Flags, refuse: Refuse): void {
  if (!pretrainEpochs) refuse(["warmupEpochs", "lr"], "without --pretrain-epochs: it is required");
  else if (warmupEpochs > pretrainEpochs) {
    throw new UsageError(
      `Cannot use --warmup-epochs ${warmupEpochs} with --pretrain-epochs ${pretrainEpochs}: they are a part of those, and ` +
        `at most ${pretrainEpochs} are possible`,
    );
  }
}

function requireViewFlags(flags: Flags, refuse: Refuse): void {
  if (flags.optimizer === "adamw") {
    refuse(["momentum"], "with --optimizer adamw: it has rates of its own (0.9 and 0.999); sgd or lars is required");
  }
  if (flags.normalisation !== "auto") {
    refuse(
      ["transforms"],
      `with --objective ${flags.objective} and --normalisation: that says all that views take of it`,
    );
  }
  if (flags.optimizer !== "lars") refuse(["etaLars", "gradClipLars"], "without --optimizer lars: it is required");
  if (!flags.numSmallCrops) {
    refuse(["smallCropSize", "smallMaxScale"], "without --num-small-crops: it is required");
  }
  if (!flags.knnEvery) refuse(["classifierLr", "momentumClassifier"], "without --knn-every: it is required");
}

/** What whoever gave these flags may not expect of them. */
export function flagRemarks({ objective, transforms }: Flags): string[] {
  if (objective === "supervised" || transforms === "auto") return [];
  return [
    `--transforms ${transforms} says with --objective ${objective} which normalisation the images have, and no more: views ` +
    "have sizes and changes of their own (--crop-size, --brightness, ...)",
  ];
}

/**
 * Refuses the learning rate of a classifier that is not there: images without labels have none trained along.
 *
 * @throws UsageError
 */
export function requireClassifierFlags({ classifierLr }: Flags, train: ImageFacts): void {
  if (classifierLr === undefined || !isUnlabelled(train)) return;
  throw new UsageError(`Cannot use --classifier-lr with ${train.name}: it has no labels, and some are required`);
}

function requireFormatFlags({ method, format, subspace, chains }: Flags): void {
  if (format !== "parts" || (method === "swag" && subspace === "covariance" && chains === 1)) return;
  throw new UsageError(
    "Cannot write this prior with --format parts: the four files mean the deviations of one chain and cannot say " +
      "otherwise; --format safetensors is required",
  );
}
