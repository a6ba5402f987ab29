/**
 * Which flags of `infer` go together. What would be ignored, or would fail only after the images are read, is refused at
 * once.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import type { FlagTable } from "../cli/flags.ts";
import { refuseUnread } from "../cli/unread_flags.ts";
import { type Refuse, requireReadDataFlags } from "./data_flags.ts";
import type { Flags } from "./infer.ts";

/**
 * Refuses what would fail, would mean something else or would be ignored.
 *
 * @param table of `infer`
 * @throws UsageError that names the flags
 */
export function requireConsistentFlags(table: FlagTable, flags: Flags): void {
  const refuse: Refuse = (names, why) => refuseUnread(table, flags, names, why);
  requirePriorFlags(flags, refuse);
  requireReadDataFlags(flags, refuse);
  const { sampler, schedule, nSamples } = flags;
  if (schedule !== "cyclical") refuse(["nCycles"], `with --schedule ${schedule}: --schedule cyclical is required`);
  if (sampler === "sgd") refuse(["temperature"], "with --sampler sgd: it draws nothing, and a sampler is required");
  else refuse(["nesterov"], `with --sampler ${sampler}: --sampler sgd is required`);
  if (sampler === "sgd" && nSamples !== 1) {
    refuse(["nSamples"], "with --sampler sgd: it keeps the last weights, and --n-samples 1 or a sampler is required");
  }
  if (sampler === "sgld") refuse(["momentum"], "with --sampler sgld: it has none, and another sampler is required");
}

function requirePriorFlags(
  { priorType, priorPath, headPrior, headScale, weightsPath, onnx }: Flags,
  refuse: Refuse,
): void {
  if (priorType === "shifted_gaussian" && priorPath === undefined) {
    throw new UsageError("Cannot use --prior-type shifted_gaussian without a learned prior: give --prior-path");
  }
  if (priorType === "isotropic" && (priorPath ?? weightsPath ?? onnx) === undefined) {
    throw new UsageError(
      "Cannot use --prior-type isotropic without pre-trained weights: give --weights-path, --onnx or --prior-path",
    );
  }
  if (priorType !== "shifted_gaussian") {
    const learned = `with --prior-type ${priorType}: --prior-type shifted_gaussian is required`;
    refuse(["priorEps", "numberOfSamplesPrior"], learned);
  }
  if (headPrior === "normal") refuse(["headScale"], "with --head-prior normal: --head-prior learned is required");
  else {
    refuse(["headVariance"], "with --head-prior learned: --head-prior normal is required");
    if (priorPath === undefined) {
      throw new UsageError("Cannot use --head-prior learned without a learned prior: give --prior-path");
    }
    if (headScale === 0) throw new UsageError("Cannot use --head-scale 0: a positive number is required");
  }
  if (priorType === "none") refuse(["priorScale"], "with --prior-type none: a prior is required");
  if (priorPath === undefined || priorPath.endsWith(".safetensors")) {
    refuse(["priorNormalisation"], "without the original's four files: their prefix as --prior-path is required");
  }
}
