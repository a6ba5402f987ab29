/**
 * Networks as ONNX files: of a checkpoint, of a run's sample, of a prior's mean.
 *
 * @module
 */

import packageConfig from "../../deno.json" with { type: "json" };
import { resolveNormalisation } from "../../lib/data/normalisation.ts";
import { UsageError } from "../../lib/errors.ts";
import { type ClassifierConfig, isResidual, onnxNetworkOf, residualConfig } from "../../lib/models/network.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { type ExportedWeights, type OnnxExportOptions, writeOnnx } from "../../lib/models/export.ts";
import { weightsFromStateDict } from "../../lib/models/weights.ts";
import type { OnnxNetwork } from "../../lib/onnx/network.ts";
import type { PriorFile } from "../../lib/priors/prior_file.ts";
import { requireSameParameters } from "../../lib/priors/parameter_order.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { MODEL_FLAGS } from "../cli/flag_groups.ts";
import { flagName, type FlagTable, type FlagValues } from "../cli/flags.ts";
import { importedNetwork, underNames } from "./network.ts";
import { baseName } from "./onnx_file.ts";

/** Side of images where nothing states it. */
const LARGE = 224;

/** Flags of the file that is written. */
export const ONNX_FLAGS = {
  fold: {
    type: "boolean",
    group: "ONNX",
    help:
      "fold BatchNorm into the convolutions before it: faster, the same up to rounding, and it trains as convolutions with biases",
  },
  encoder: {
    type: "string",
    value: "NAME",
    group: "ONNX",
    help: "architecture of the checkpoint; of a prior, what to note down where its four .pt files do not state it",
  },
  onnx: {
    type: "string",
    value: "FILE",
    group: "ONNX",
    help:
      "network of the weights, from an ONNX file, in place of --encoder; of --run, where its network's file lies now",
  },
  head: {
    ...MODEL_FLAGS.head,
    group: "ONNX",
    help: "node of the last layer of an ONNX file's network; found unless given",
  },
  smallStem: { ...MODEL_FLAGS.smallStem, group: "ONNX" },
  imageSize: {
    type: "integer",
    min: 8,
    group: "ONNX",
    help: "side of the images in pixels; a run's or --onnx's own, or 224, or 32 where the stem is small",
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

/** Refuses flags that only an ONNX file has use for; `--onnx` may say where a run's network lies. */
export function requireNoOnnxFlags(flags: OnnxFlags, out: string, ofRun: boolean): void {
  const keys = ["fold", "head", "smallStem", "imageSize", "normalisation", "normaliseInput"] as const;
  const given = firstGiven(flags, ofRun ? keys : ["onnx", ...keys]);
  if (given !== undefined) throw new UsageError(`Cannot use ${given}: ${out} is no .onnx file`);
}

/** Refuses flags that say what a run knows. */
export function requireNoNetworkFlags(flags: OnnxFlags, run: string): void {
  const given = firstGiven(flags, ["encoder", "head", "smallStem", "imageSize", "normalisation"]);
  if (given !== undefined) throw new UsageError(`Cannot use ${given}: the run ${run} has its own`);
}

/** A network's files by path: one, or one and its `.data` where it is larger than 2 GiB. */
export function encodeOnnx(network: ExportedNetwork, flags: OnnxFlags, out: string): Map<string, Uint8Array> {
  const { config, weights, options, facts } = network;
  const stated = firstGiven(flags, ["normaliseInput", "normalisation"]);
  if (stated !== undefined && onnxNetworkOf(config)?.model.normalisation !== undefined) {
    throw new UsageError(`Cannot use ${stated}: the network of ${config.encoder} normalises its images itself`);
  }
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

/** A network without weights: what it computes, whatever they are. */
export interface Architecture {
  /** A name of the built-in ones. */
  readonly encoder: string;
  /** An ONNX file's, in its place. */
  readonly network?: OnnxNetwork;
}

/**
 * The network that flags name: an ONNX file's, else `--encoder`'s.
 *
 * @param own what the file that is converted says of its network, if it does
 * @param read the bytes of `--onnx`, where they were read already
 * @throws UsageError where nothing names it, or two flags do
 */
export async function architectureOf(
  flags: OnnxFlags,
  own: Architecture | undefined,
  read?: Uint8Array,
): Promise<Architecture> {
  if (flags.onnx !== undefined && flags.encoder !== undefined) {
    throw new UsageError("Cannot use --encoder with --onnx: the file's network is taken");
  }
  const onnx = await importedNetwork(flags, read);
  if (onnx !== undefined) return { encoder: baseName(onnx.record.path), network: onnx.network };
  const named = flags.encoder === undefined ? own : { encoder: flags.encoder };
  if (named !== undefined) return named;
  throw new UsageError("Cannot write an ONNX file without --encoder or --onnx: nothing else states the network");
}

/** The classifier of an architecture, for images of the size that is asked for, or that it states. */
function configOf({ encoder, network }: Architecture, flags: OnnxFlags, numClasses: number): ClassifierConfig {
  const { smallStem, imageSize } = flags;
  if (network === undefined) {
    const isSmall = isResidual(encoder) && residualConfig({ encoder, smallStem }).stem === "small";
    const side = imageSize ?? (isSmall ? 32 : LARGE);
    return { encoder, smallStem, numClasses, height: side, width: side };
  }
  const [, , height = LARGE, width = LARGE] = network.model.input.shape;
  return { encoder, network, numClasses, height: imageSize ?? height, width: imageSize ?? width };
}

/** Classes that a checkpoint's head tells apart; the network's own number where it has none. */
function classesOf(tensors: StateDict, config: ClassifierConfig): number {
  const network = onnxNetworkOf(config);
  if (network === undefined) return tensors.get(`${residualConfig(config).headName}.weight`)?.shape[0] ?? 1;
  const { weight, classAxis, numClasses } = network.head;
  return tensors.get(weight)?.shape[classAxis] ?? numClasses;
}

/**
 * The network of a checkpoint; its head says how many classes it tells apart.
 *
 * @throws TypeError listing what the checkpoint lacks
 */
export function checkpointNetwork(
  architecture: Architecture,
  found: StateDict,
  flags: OnnxFlags,
  facts: Readonly<Record<string, string>>,
): ExportedNetwork {
  // The number of classes is not known yet, and does not matter to the backbone's names.
  const one = configOf(architecture, flags, architecture.network?.head.numClasses ?? 1);
  const tensors = underNames(layoutModel(one), found);
  const config = configOf(architecture, flags, classesOf(tensors, one));
  const weights = weightsFromStateDict(layoutModel(config), tensors, { head: "require", seed: 0 });
  return { config, weights, facts };
}

/**
 * The network of a learned prior's mean, without a head: its output is the features.
 *
 * @throws TypeError where the prior is over other parameters than the network's
 */
export function meanNetwork(architecture: Architecture, prior: PriorFile, flags: OnnxFlags): ExportedNetwork {
  const config = configOf(architecture, flags, architecture.network?.head.numClasses ?? 1);
  const layouts = layoutModel(config);
  requireSameParameters(prior.parameters, layouts.backbone.entries);
  const { state } = weightsFromStateDict(layouts, prior.model, { head: "fresh", seed: 0 });
  const { source, sourceSha256 } = prior.metadata;
  const facts = { weights: "mean of a learned prior", source, "source_sha256": sourceSha256 };
  return { config, weights: { backbone: prior.swag.mean, state }, facts };
}
