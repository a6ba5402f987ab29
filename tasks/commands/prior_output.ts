/**
 * The files that `prior` writes.
 *
 * @module
 */

import { dirname } from "node:path";
import config from "../../deno.json" with { type: "json" };
import type { LearnedPrior } from "../../lib/inference/learn_prior.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { stateDictFromWeights } from "../../lib/models/weights.ts";
import { writePrior } from "../../lib/priors/files.ts";
import type { HeadPrior } from "../../lib/priors/head_gaussian.ts";
import { requirePartsNames } from "../../lib/priors/parameter_order.ts";
import { writePriorParts } from "../../lib/priors/parts.ts";
import type { PriorFile } from "../../lib/priors/prior_file.ts";
import { readInput, requireAbsent, requireWritableFolder, writeAllWhole, writeWhole } from "../cli/files.ts";
import { sha256 } from "./hashes.ts";
import { baseName } from "./onnx_file.ts";
import type { Flags } from "./prior.ts";
import { requireNoCheckpoint } from "./prior_checkpoint.ts";
import { priorPaths } from "./prior_files.ts";

/** Files that the prior will be written to. */
export function targets({ out, format }: Flags): readonly string[] {
  return format === "safetensors" ? [out] : Object.values(priorPaths(out));
}

/** Refuses a path that could not be written at the end, before the work begins. */
export async function requireWritable({ out, force, resume }: Flags, paths: readonly string[]): Promise<void> {
  if (!force) await Promise.all(paths.map(requireAbsent));
  if (!force && !resume) await requireNoCheckpoint(out);
  await requireWritableFolder(dirname(out), out);
  for (const path of paths) {
    const found = await Deno.stat(path).catch(() => undefined);
    if (found?.isDirectory) throw new Error(`Cannot write ${path}: it is a folder, and a file's path is required`);
  }
}

/**
 * Refuses a network whose prior the format that was asked for could not hold, before the work begins.
 *
 * @throws TypeError that names the first tensor that would be mistaken
 */
export function requireFormat({ format }: Flags, classifier: ClassifierConfig): void {
  if (format !== "parts") return;
  const { parameters, backbone } = layoutModel(classifier);
  const model = parameters.filter(({ vector }) => vector !== "head").map(({ name }) => name);
  requirePartsNames(model, backbone.entries.map(({ name }) => name));
}

/** The file of a learned prior: its weights and where they come from. */
export async function priorFileOf(
  flags: Flags,
  classifier: ClassifierConfig,
  { swag, weights }: LearnedPrior,
  head?: HeadPrior,
): Promise<PriorFile> {
  const layouts = layoutModel(classifier);
  const source = flags.weightsPath ?? flags.onnx;
  return {
    swag,
    parameters: layouts.backbone.entries.map(({ name, torchShape }) => ({ name, shape: torchShape })),
    model: stateDictFromWeights(layouts, weights, ["backbone", "state"]),
    head,
    metadata: {
      architecture: classifier.encoder,
      ...source === undefined
        ? {
          source: `${flags.objective}${flags.supervisedContrast ? " (supervised)" : ""}, seed ${flags.seed}`,
          sourceSha256: "",
        }
        : {
          source: baseName(source),
          sourceSha256: sha256(await readInput(source, "a checkpoint")),
        },
      software: `swagpu ${config.version}`,
    },
  };
}

/** Writes the prior in the format that was asked for. */
export async function writePriorFiles(flags: Flags, prior: PriorFile): Promise<void> {
  if (flags.format === "safetensors") return await writeWhole(flags.out, writePrior(prior), flags.force);
  const parts = Object.entries(writePriorParts(prior));
  await writeAllWhole(new Map(parts.map(([name, bytes]) => [`${flags.out}_${name}.pt`, bytes])), flags.force);
}
