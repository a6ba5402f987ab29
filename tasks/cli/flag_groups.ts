/**
 * The flags that several commands share. Names are the original system's where it has one; a command spreads a group
 * into its table and overrides a default as `lr: { ...TRAINING_FLAGS.lr, default: 0.01 }`.
 *
 * @module
 */

import type { FlagTable } from "./flags.ts";

/** Which network, from which weights. */
export const MODEL_FLAGS = {
  encoder: {
    type: "string",
    default: "resnet50",
    value: "NAME",
    group: "Model",
    help: "a classifier of torchvision's, as resnet50, mobilenet_v2 or vit_b_16, or a ResNet of CIFAR, as resnet20",
  },
  weightsPath: {
    type: "string",
    value: "FILE",
    group: "Model",
    help: "pre-trained weights: .pth .pt .th .ckpt .safetensors",
  },
  onnx: {
    type: "string",
    value: "FILE",
    group: "Model",
    help: "a classifier's ONNX file: network and weights, in place of --encoder and --weights-path",
  },
  head: {
    type: "string",
    value: "NODE",
    group: "Model",
    help: "node of the last layer of --onnx, which another number of classes replaces; found unless given",
  },
  smallStem: {
    type: "boolean",
    group: "Model",
    help: "3x3 stride-1 stem without max pooling, for small images",
  },
  seed: { type: "integer", default: 1, min: 0, max: 0xffffffff, group: "Model", help: "seed of every random draw" },
} as const satisfies FlagTable;

/** Which images, how they are prepared. */
export const DATA_FLAGS = {
  trainDataset: {
    type: "string",
    default: "cifar10",
    value: "NAME",
    group: "Data",
    help: "training set: cifar10, cifar100, stl10, imagenet, imagenet100, oxford102flowers, oxfordpets, custom, " +
      "imagefolder, flowers17, procedural-source, procedural-downstream",
  },
  valDataset: {
    type: "string",
    value: "NAME",
    group: "Data",
    help: "set that metrics are computed on; the training set's name unless given. Besides those: cifar10.1 (or -v4, " +
      "-v6), cifar10-c",
  },
  dataDir: { type: "string", value: "DIR", group: "Data", help: "folder of the data; procedural sets need none" },
  trainDir: {
    type: "string",
    value: "DIR",
    group: "Data",
    help: "training images' folder inside --data-dir, or a part of stl10: unlabelled, train+unlabelled",
  },
  valDir: { type: "string", value: "DIR", group: "Data", help: "validation images' folder inside --data-dir" },
  numOfTrainExamples: {
    type: "integer",
    min: 1,
    group: "Data",
    help: "train on that many images, drawn by --seed, as many of each class; all unless given",
  },
  numOfLabels: {
    type: "integer",
    min: 2,
    group: "Data",
    help: "number of classes that the data set must have; its own, of which the head is made, unless given",
  },
  valSplit: {
    type: "number",
    default: 0,
    min: 0,
    max: 0.9,
    group: "Data",
    help: "fraction of the training images held out for validation",
  },
  imageSize: {
    type: "integer",
    min: 8,
    group: "Data",
    help: "side of the images in pixels; --onnx's, that of --transforms, the data set's own or 224",
  },
  corruption: {
    type: "string",
    value: "NAME",
    group: "Data",
    help: "cifar10-c: its corruption, as gaussian_noise, fog, jpeg_compression",
  },
  severity: { type: "integer", min: 1, max: 5, group: "Data", help: "cifar10-c: strength of the corruption" },
  classList: {
    type: "string",
    value: "FILE",
    group: "Data",
    help: "imagenet100, imagenet: the classes to use, one WordNet number a line; all folders unless given",
  },
  transforms: {
    type: "choice",
    choices: ["auto", "original", "plain"],
    default: "auto",
    group: "Data",
    help: "original: size, augmentation and normalisation that the original system has for the data set; plain: the " +
      "images' own size, crop, imagenet. auto: plain for CIFAR ResNets and --small-stem, else original",
  },
  augmentation: {
    type: "choice",
    choices: ["auto", "none", "flip", "crop", "resized-crop"],
    default: "auto",
    group: "Data",
    help:
      "random changes of the training images: crop is the CIFAR one, resized-crop that of ImageNet; auto: that of " +
      "--transforms",
  },
  normalisation: {
    type: "string",
    default: "auto",
    value: "NAME",
    group: "Data",
    help: "imagenet, cifar10, cifar100 or six numbers mean,mean,mean,std,std,std: those of the pre-trained weights; " +
      "auto: those of --transforms",
  },
  batchSize: { type: "integer", default: 64, min: 1, group: "Data", help: "images of a step" },
  cacheDir: {
    type: "string",
    value: "DIR",
    group: "Data",
    help: "keep decoded images in DIR between runs; by default in the user's cache folder, where " +
      "--allow-env=XDG_CACHE_HOME,HOME lets it be found. Results do not depend on it",
  },
  cacheSize: {
    type: "number",
    default: 8,
    min: 0,
    group: "Data",
    help: "GiB that decoded images may take there; those used least recently make room. 0: keep none",
  },
} as const satisfies FlagTable;

/** The original system's mistakes with images, for commands without a prior. */
export const COMPAT_FLAG = {
  compat: {
    type: "boolean",
    group: "Data",
    help: "the original system's mistyped normalisation of imagenet, imagenet100, custom and oxfordpets",
  },
} as const satisfies FlagTable;

/** How the weights move. */
export const TRAINING_FLAGS = {
  lr: { type: "number", default: 0.01, min: 0, group: "Training", help: "learning rate of the first step" },
  momentum: {
    type: "number",
    default: 0.9,
    min: 0,
    max: 1,
    group: "Training",
    help: "momentum of sgd; 1 - friction of sghmc; decay of psgld's mean square",
  },
  epochs: { type: "integer", default: 10, min: 1, group: "Training", help: "passes over the training images" },
  maxSteps: { type: "integer", min: 1, group: "Training", help: "stop after that many steps" },
  schedule: {
    type: "choice",
    choices: ["constant", "cosine", "cyclical"],
    default: "cosine",
    group: "Training",
    help: "learning rate over the run",
  },
  nCycles: {
    type: "integer",
    default: 4,
    min: 1,
    group: "Training",
    help: "cycles of the cyclical schedule; unless given, fewer in a short run",
  },
  nSamples: {
    type: "integer",
    default: 12,
    min: 1,
    group: "Training",
    help: "weights to keep over the whole run; unless given, fewer in a short one, and of sgd the last",
  },
  temperature: {
    type: "number",
    default: 1,
    min: 0,
    group: "Training",
    help: "temperature of the posterior: 1 is Bayes' rule, 0 is optimisation",
  },
  weightDecay: {
    type: "number",
    default: 0,
    min: 0,
    group: "Training",
    help: "L2 penalty; of the head alone where the backbone has a prior, and not of a head whose prior is learned",
  },
  labelSmoothing: { type: "number", default: 0, min: 0, max: 0.999, group: "Training", help: "label smoothing" },
  chains: { type: "integer", default: 1, min: 1, group: "Training", help: "independent chains, one after another" },
  recompute: {
    type: "boolean",
    group: "Training",
    help: "compute activations again in the backward pass: less memory, more time, the same bits",
  },
  precision: {
    type: "choice",
    choices: ["f32", "mixed"],
    default: "f32",
    group: "Training",
    help: "how activations are stored; mixed: as f16, in half the memory, with a loss scale. Arithmetic is f32",
  },
} as const satisfies FlagTable;

/** How a posterior is explored. */
export const SAMPLER_FLAGS = {
  sampler: {
    type: "choice",
    choices: ["sgd", "sgld", "sghmc", "psgld"],
    default: "sghmc",
    group: "Training",
    help: "what draws the weights; sgd optimises",
  },
} as const satisfies FlagTable;

/** How the device is used. */
export const DEVICE_FLAGS = {
  kernelSchedule: {
    type: "choice",
    choices: ["auto", "cpu", "gpu"],
    default: "auto",
    group: "Device",
    help: "kernels made for CPUs or for GPUs; auto: by the adapter, or a run's own. Bits differ between them",
  },
} as const satisfies FlagTable;

/** How the fastest kernels are found. */
export const TUNING_FLAGS = {
  autotune: {
    type: "boolean",
    optional: true,
    group: "Device",
    help: "time the ways to compute each matrix product, once, and use the fastest; on by default on GPUs where the " +
      "result can be kept, off on CPUs. Bits differ between them; a run keeps its own",
  },
  tuningCache: {
    type: "string",
    value: "FILE",
    group: "Device",
    help: "keep what --autotune finds in FILE, and turn it on; by default in the user's cache folder, where " +
      "--allow-env=XDG_CACHE_HOME,HOME lets it be found",
  },
  tuningSeconds: {
    type: "number",
    min: 0,
    group: "Device",
    help: "seconds that --autotune may take; 5 on GPUs, 120 on CPUs. What is not reached keeps the default",
  },
} as const satisfies FlagTable;

/** Flags of commands that print and no more. */
export const REPORT_FLAGS = {
  json: { type: "boolean", group: "Output", help: "print one JSON object as the last line of stdout" },
  quiet: { type: "boolean", group: "Output", help: "print no progress" },
} as const satisfies FlagTable;

/** Where results go. */
export const OUTPUT_FLAGS = {
  out: { type: "string", value: "PATH", group: "Output", help: "file or folder to write" },
  dryRun: { type: "boolean", group: "Output", help: "print the memory plan, run nothing" },
  resume: { type: "boolean", group: "Output", help: "go on with the run in --out where it stopped" },
  ...REPORT_FLAGS,
} as const satisfies FlagTable;
