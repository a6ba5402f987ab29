/**
 * Flags of priors: how SWAG learns one, and how one is used.
 *
 * @module
 */

import type { FlagTable } from "./flags.ts";

/** How a prior is learned: stochastic weight averaging, Gaussian. */
export const SWAG_FLAGS = {
  swaLrs: { type: "number", default: 0.02, min: 0, group: "SWAG", help: "learning rate while snapshots are taken" },
  swagScheduler: {
    type: "choice",
    choices: ["constant", "cyclic"],
    default: "cyclic",
    group: "SWAG",
    help: "learning rate while snapshots are taken: one, or a restart after each snapshot",
  },
  startSwag: {
    type: "integer",
    default: 1,
    min: 0,
    group: "SWAG",
    help: "step that SWAG begins with: of the first snapshot (constant) or of the first cycle (cyclic)",
  },
  intervalSteps: {
    type: "integer",
    default: 1,
    min: 1,
    group: "SWAG",
    help: "steps between snapshots under the constant schedule",
  },
  nSamples: {
    type: "integer",
    default: 20,
    min: 2,
    group: "SWAG",
    help: "snapshots to take over the whole run under the cyclic schedule",
  },
  nCycles: {
    type: "integer",
    min: 1,
    group: "SWAG",
    help: "restarts of the cyclic schedule; as many as snapshots unless given",
  },
  annealFrom: {
    type: "number",
    min: 0,
    group: "SWAG",
    help: "learning rate that the constant schedule begins with; --swa-lrs unless given",
  },
  annealingEpochs: {
    type: "integer",
    default: 1,
    min: 0,
    group: "SWAG",
    help: "epochs in which --anneal-from becomes --swa-lrs",
  },
  maxRank: {
    type: "integer",
    default: 20,
    min: 0,
    group: "SWAG",
    help: "rank of the learned covariance: how many rows are kept",
  },
  subspace: {
    type: "choice",
    choices: ["covariance", "pca", "freq_dir", "random"],
    default: "covariance",
    group: "SWAG",
    help: "rows kept: the last deviations, their principal components, a sketch of all deviations, random ones",
  },
  pcaRank: {
    type: "string",
    value: "N|mle",
    group: "SWAG",
    help: "principal components kept of the last --max-rank deviations, or mle: by evidence; all unless given",
  },
  varClamp: { type: "number", default: 1e-6, min: 0, group: "SWAG", help: "smallest variance of a weight" },
} as const satisfies FlagTable;

/** Which prior, how strong. */
export const PRIOR_FLAGS = {
  priorType: {
    type: "choice",
    choices: ["shifted_gaussian", "normal", "isotropic", "none"],
    default: "shifted_gaussian",
    group: "Prior",
    help: "shifted_gaussian: learned; normal: zero mean; isotropic: about the pre-trained weights",
  },
  priorPath: {
    type: "string",
    value: "FILE",
    group: "Prior",
    help: "learned prior: a .safetensors file or the prefix of the original's four .pt files",
  },
  priorScale: {
    type: "number",
    default: 1,
    min: 0,
    group: "Prior",
    help: "lambda: the prior's covariance times this (normal, isotropic: its variance)",
  },
  priorEps: {
    type: "number",
    default: 1e-5,
    min: 0,
    group: "Prior",
    help: "epsilon: added to the variance of each weight",
  },
  headPrior: {
    type: "choice",
    choices: ["normal", "learned"],
    default: "normal",
    group: "Prior",
    help: "the head's: zero mean and --head-variance, or what --prior-path has of it, for a task with the same classes",
  },
  headScale: {
    type: "number",
    default: 1,
    min: 0,
    group: "Prior",
    help: "the learned head prior's covariance times this",
  },
  numberOfSamplesPrior: {
    type: "integer",
    min: 0,
    group: "Prior",
    help: "rank to use of the learned covariance, newest first; all unless given",
  },
  priorStep: {
    type: "choice",
    choices: ["implicit", "explicit"],
    default: "implicit",
    group: "Prior",
    help: "how the prior's part of a step is taken: implicit is stable at any strength",
  },
  priorNormalisation: {
    type: "choice",
    choices: ["auto", "normalised", "raw"],
    default: "auto",
    group: "Prior",
    help: "whether the rows of an original covmat file are divided by the root of K - 1",
  },
  compat: {
    type: "boolean",
    group: "Prior",
    help: "reproduce the original system's numbers, defects included; wants --prior-step explicit",
  },
} as const satisfies FlagTable;
