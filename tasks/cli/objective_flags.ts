/**
 * The flags of learning without labels. Names and defaults are the original system's where it has them. None has a default
 * in the table, so that one that is given to no purpose can be refused.
 *
 * @module
 */

import { OBJECTIVE_NAMES } from "../../lib/inference/objectives/objectives.ts";
import { OPTIMISERS } from "../../lib/inference/optimisers/optimiser.ts";
import type { FlagTable } from "./flags.ts";

/** What is minimised. */
export const OBJECTIVE_FLAG = {
  objective: {
    type: "choice",
    choices: ["supervised", ...OBJECTIVE_NAMES],
    default: "supervised",
    group: "Objective",
    help: "what is minimised: the cross-entropy of labels, or a loss that compares views of unlabelled images",
  },
} as const satisfies FlagTable;

const share = { type: "number", min: 0, max: 1, group: "Objective" } as const;
const amount = { type: "number", min: 0, group: "Objective" } as const;
const size = { type: "integer", min: 1, group: "Objective" } as const;

/** Training before snapshots are taken, whatever is minimised. */
export const PRETRAINING_FLAGS = {
  pretrainEpochs: {
    type: "integer",
    min: 0,
    group: "Objective",
    help: "passes before those of --epochs, in which no snapshot is taken: from scratch, say; 0",
  },
  warmupEpochs: {
    type: "integer",
    min: 0,
    group: "Objective",
    help: "of --pretrain-epochs, those in which the learning rate rises; a tenth",
  },
  lr: { ...amount, help: "highest learning rate of --pretrain-epochs; 0.1" },
} as const satisfies FlagTable;

/** How views are made, compared and learned from; nothing that labels need. */
export const OBJECTIVE_FLAGS = {
  optimizer: {
    type: "choice",
    choices: OPTIMISERS,
    group: "Objective",
    help: "sgd, lars (sgd with a rate for each layer) or adamw; sgd",
  },
  etaLars: { ...amount, help: "of lars: a layer's rate where its weights and their gradient are as long; 0.001" },
  gradClipLars: { type: "boolean", group: "Objective", help: "of lars: no layer's rate above the learning rate" },
  temperature: { ...amount, help: "temperature of the loss; the objective's own" },
  supervisedContrast: {
    type: "boolean",
    group: "Objective",
    help: "of simclr: views of all images of a class belong together, not only those of one image; it takes labels",
  },
  projHiddenDim: { ...size, help: "width of the projector's hidden layers; the objective's own" },
  projOutputDim: { ...size, help: "width of the projections; the objective's own" },
  predHiddenDim: { ...size, help: "width of the predictor's hidden layer; the objective's own" },
  queueSize: { ...size, min: 0, help: "projections that are remembered; the objective's own. swav: 0 is no queue" },
  epochQueueStarts: { ...size, min: 0, help: "of swav: epoch, from 0, in which the queue begins to count; 15" },
  freezePrototypesEpochs: {
    ...size,
    min: 0,
    help: "of swav and dino: epochs at first in which prototypes stand still; 1",
  },
  numPrototypes: { ...size, help: "prototypes that projections are assigned to; the objective's own" },
  baseTauMomentum: { ...share, help: "share of the momentum network that stays in the first step; 0.99" },
  finalTauMomentum: { ...share, help: "share of the momentum network that stays in the last step; 1" },
  prototypeHeads: { ...size, help: "of deepclusterv2: sets of prototypes; 3" },
  kmeansIters: { ...size, help: "of deepclusterv2: iterations of k-means after each epoch; 10" },
  whiteningSize: {
    ...size,
    min: 2,
    help: "of wmse: projections that are whitened together, a divisor of the batch; 256",
  },
  whiteningIters: { ...size, help: "of wmse: times that a batch is cut into such parts; 1" },
  whiteningEps: { ...share, help: "of wmse: share of the identity in their covariance; 0" },
  cropSize: { ...size, min: 8, help: "side of the views in pixels; the images' own" },
  numSmallCrops: {
    ...size,
    min: 0,
    help: "small views beside the two large ones, of objectives that take them, at most 14; 0",
  },
  smallCropSize: { ...size, min: 8, help: "side of the small views in pixels; half of the large ones" },
  smallMaxScale: { ...share, help: "largest share of an image that a small view shows; 0.4" },
  minScale: { ...share, help: "least share of an image that a view shows; 0.08" },
  brightness: { ...amount, help: "largest change of a view's brightness; 0.8" },
  contrast: { ...amount, help: "largest change of a view's contrast; 0.8" },
  saturation: { ...amount, help: "largest change of a view's saturation; 0.8" },
  hue: { ...share, max: 0.5, help: "largest change of a view's hue, in turns; 0.2" },
  colorJitterProb: { ...share, help: "share of the views whose colours change; 0.8" },
  grayScaleProb: { ...share, help: "share of the views that lose their colour; 0.2" },
  horizontalFlipProb: { ...share, help: "share of the views that are mirrored; 0.5" },
  gaussianProb: { ...share, help: "share of the views that are blurred; 0.5" },
  solarizationProb: { ...share, help: "share of the views that are solarised; 0" },
  knnEvery: {
    type: "integer",
    min: 0,
    group: "Objective",
    help:
      "epochs between measures of the features by 20 nearest neighbours and by linear classifiers, one fitted anew " +
      "and, where the images have labels, one trained along; printed when made, all in evaluations of --json; 0: none",
  },
  classifierLr: { ...amount, help: "highest learning rate of the classifier that is trained along; 0.1" },
  momentumClassifier: {
    type: "boolean",
    group: "Objective",
    help:
      "train another one along, of the momentum network's features, and measure that network by it; of byol, dino, " +
      "mocov2plus, nnbyol and ressl",
  },
} as const satisfies FlagTable;
