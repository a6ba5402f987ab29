/**
 * Networks as ONNX files: of a checkpoint, of a run's sample, of a prior's mean.
 *
 * @module
 */

import packageConfig from "../../deno.json" with { type: "json" };
import { resolveNormalisation } from "../../lib/data/normalisation.ts";
import { UsageError } from "../../lib/errors.ts";
import { type ClassifierConfig, encoderConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { type ExportedWeights, type OnnxExportOptions, writeOnnx } from "../../lib/models/export.ts";
import { weightsFromStateDict } from "../../lib/models/weights.ts";
import type { PriorFile } from "../../lib/priors/files.ts";
import { requireSameParameters } from "../../lib/priors/parameter_order.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { MODEL_FLAGS } from "../cli/flag_groups.ts";
import { flagName, type FlagTable, type FlagValues } from "../cli/flags.ts";

/** Flags of the file that is written. */
export const ONNX_FLAGS = {
  fold: {
    type: "boolean",
    group: "ONNX",
    help: "fold BatchNorm into the convolutions before it: faster, the same up to rounding, no longer trainable",
  },
  encoder: {
    type: "string",
    value: "NAME",
    group: "ONNX",
    help: "architecture of the checkpoint; of a prior, what to note down where its four .pt files do not state it",
  },
  smallStem: { ...MODEL_FLAGS.smallStem, group: "ONNX" },
  imageSize: {
    type: "integer",
    min: 8,
    group: "ONNX",
    help: "side of the images in pixels; a run's own, or 224, or 32 where the stem is small",
  },
  normalisation: {
    type: "string",
    value: "NAME",
    group: "ONNX",
    help: "how images are normalised, for the file's metadata: a run's own, or as infer takes it; else not stated",
  },
  normaliseInput: {
    type: "boolean",
    group: "ONNX",
    help: "normalise in the file: it then takes images of range 0 to 1",
  },
} as const satisfies FlagTable;

/** Values of {@linkcode ONNX_FLAGS}. */
export type OnnxFlags = Omit<FlagValues<typeof ONNX_FLAGS>, "operands">;

/** A network to be written. */
export interface ExportedNetwork {
  readonly config: ClassifierConfig;
  readonly weights: ExportedWeights;
  /** What is known of its images and classes. */
  readonly options?: Pick<OnnxExportOptions, "normalisation" | "classNames">;
  /** Facts for the file's metadata. */
  readonly facts: Readonly<Record<string, string>>;
}

/** The first of some flags that is given, as it is written. */
function firstGiven(flags: OnnxFlags, keys: readonly (keyof OnnxFlags)[]): string | undefined {
  const key = keys.find((name) => flags[name] !== undefined && flags[name] !== false);
  return key && `--${flagName(key)}`;
}

/** Refuses flags that only an ONNX file has use for. */
export function requireNoOnnxFlags(flags: OnnxFlags, out: string): void {
  const given = firstGiven(flags, ["fold", "smallStem", "imageSize", "normalisation", "normaliseInput"]);
  if (given !== undefined) throw new UsageError(`Cannot use ${given}: ${out} is no .onnx file`);
}

/** Refuses flags that say what a run knows. */
export function requireNoNetworkFlags(flags: OnnxFlags, run: string): void {
  const given = firstGiven(flags, ["encoder", "smallStem", "imageSize", "normalisation"]);
  if (given !== undefined) throw new UsageError(`Cannot use ${given}: the run ${run} has its own`);
}

/** A network's files by path: one, or one and its `.data` where it is larger than 2 GiB. */
export function encodeOnnx(network: ExportedNetwork, flags: OnnxFlags, out: string): Map<string, Uint8Array> {
  const { config, weights, options, facts } = network;
  const normalisation = flags.normalisation === undefined
    ? options?.normalisation
    : resolveNormalisation(flags.normalisation);
  if (flags.normaliseInput && normalisation === undefined) {
    throw new UsageError(
      "Cannot use --normalise-input without --normalisation: nothing says how images are normalised",
    );
  }
  const { model, data } = writeOnnx(config, weights, {
    ...options,
    fold: flags.fold,
    normalisation,
    normaliseInput: flags.normaliseInput,
    metadata: { ...facts, software: `swagpu ${packageConfig.version}` },
    dataName: `${out.split(/[\\/]/).at(-1)}.data`,
  });
  return new Map([[out, model], ...data ? [[`${out}.data`, data] as const] : []]);
}

/** The classifier of `--encoder`, or of a name that stands in a file. */
function configOf(encoder: string, flags: OnnxFlags, numClasses: number): ClassifierConfig {
  const { smallStem } = flags;
  const side = flags.imageSize ?? (encoderConfig(encoder, smallStem).stem === "small" ? 32 : 224);
  return { encoder, smallStem, numClasses, height: side, width: side };
}

/**
 * The network of a checkpoint; its head says how many classes it tells apart.
 *
 * @throws UsageError without `--encoder`
 * @throws TypeError listing what the checkpoint lacks
 */
export function checkpointNetwork(
  tensors: StateDict,
  flags: OnnxFlags,
  facts: Readonly<Record<string, string>>,
): ExportedNetwork {
  if (flags.encoder === undefined) {
    throw new UsageError("Cannot write a checkpoint as an ONNX file without --encoder: it does not state its network");
  }
  const head = tensors.get(`${encoderConfig(flags.encoder).headName}.weight`);
  const config = configOf(flags.encoder, flags, head?.shape[0] ?? 1);
  const weights = weightsFromStateDict(layoutModel(config), tensors, { head: "require", seed: 0 });
  return { config, weights, facts };
}

/**
 * The network of a learned prior's mean, without a head: its output is the features.
 *
 * @throws UsageError where neither the prior nor `--encoder` names its network
 * @throws TypeError where the prior is over other parameters than the network's
 */
export function meanNetwork(prior: PriorFile, flags: OnnxFlags): ExportedNetwork {
  const encoder = flags.encoder ?? prior.metadata.architecture;
  if (encoder === "") {
    throw new UsageError(
      "Cannot write a prior's mean as an ONNX file without --encoder: it does not state its network",
    );
  }
  const config = configOf(encoder, flags, 1), layouts = layoutModel(config);
  requireSameParameters(prior.parameters, layouts.backbone.entries);
  const { state } = weightsFromStateDict(layouts, prior.model, { head: "fresh", seed: 0 });
  const { source, sourceSha256 } = prior.metadata;
  const facts = { weights: "mean of a learned prior", source, "source_sha256": sourceSha256 };
  return { config, weights: { backbone: prior.swag.mean, state }, facts };
}
