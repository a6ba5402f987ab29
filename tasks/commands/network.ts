/**
 * The network and the weights that a command is to work on: a named encoder's, or an ONNX file's.
 *
 * @module
 */

import { readCheckpoint, stripPrefixes } from "../../lib/checkpoint/state_dict.ts";
import type { ImageSource } from "../../lib/data/dataset.ts";
import { UsageError } from "../../lib/errors.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel, type ModelLayouts } from "../../lib/models/device_model.ts";
import { initialWeights, type LoadOptions, type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { MODEL_FLAGS } from "../cli/flag_groups.ts";
import { readInput } from "../cli/files.ts";
import type { FlagValues } from "../cli/flags.ts";
import { refuseUnread } from "../cli/unread_flags.ts";
import type { RunFolder } from "./run_writer.ts";
import type { DataFlags } from "./treatment.ts";
import { baseName, type OnnxFile, type OnnxRecord, openOnnx, readerBeside, reopenOnnx } from "./onnx_file.ts";
import { exportRemarks } from "./onnx_remarks.ts";

/** Values of the model flags. */
export type ModelFlags = Omit<FlagValues<typeof MODEL_FLAGS>, "operands">;

/**
 * The network of `--onnx`, if it is given.
 *
 * @param read the file's bytes, where they were read already
 * @throws UsageError where other flags than their defaults say something of the network
 */
export async function importedNetwork(
  flags: Pick<ModelFlags, "onnx" | "head" | "smallStem"> & Partial<Pick<ModelFlags, "encoder">>,
  read?: Uint8Array,
): Promise<OnnxFile | undefined> {
  if (flags.onnx !== undefined) {
    refuseUnread(MODEL_FLAGS, flags, ["encoder", "smallStem"], "with --onnx: the file's network is taken as it is");
    return await openOnnx(flags.onnx, flags.head, undefined, read);
  }
  if (flags.head === undefined) return undefined;
  throw new UsageError("Cannot use --head without --onnx: named encoders have one head each");
}

/** Side of the square images that a file's input states. */
export function statedSize(onnx: OnnxFile | undefined): number | undefined {
  const [, , height, width] = onnx?.network.model.input.shape ?? [];
  return height === width ? height : undefined;
}

/**
 * What an imported network says about the treatment of its images, instead of `--encoder`.
 *
 * @throws UsageError where it normalises them itself, and `--normalisation` says how
 */
export function statedTreatment(
  onnx: OnnxFile | undefined,
  { normalisation }: Pick<DataFlags, "normalisation">,
): Pick<DataFlags, "encoder" | "networkSize" | "networkNormalises"> {
  if (onnx === undefined) return {};
  const { record, network: { model } } = onnx, networkNormalises = model.normalisation !== undefined;
  if (networkNormalises && normalisation !== "auto") {
    throw new UsageError(
      `Cannot use --normalisation ${normalisation}: ${record.path} normalises its images itself; without it, nothing ` +
        "is done to them before",
    );
  }
  return { encoder: undefined, networkSize: statedSize(onnx), networkNormalises };
}

/** The classifier of a network and a data set. */
export function classifierOf(flags: ModelFlags, set: ImageSource, onnx: OnnxFile | undefined): ClassifierConfig {
  const shape = { numClasses: set.classNames.length, height: set.height, width: set.width };
  if (onnx === undefined) return { encoder: flags.encoder, ...shape, smallStem: flags.smallStem };
  return { encoder: baseName(onnx.record.path), network: onnx.network, ...shape };
}

/** What a run writes down of its classifier: of an imported network which file it is. */
export function recordOf({ network: _, ...config }: ClassifierConfig, onnx: OnnxFile | undefined): object {
  return onnx === undefined ? config : { ...config, onnx: onnx.record };
}

/**
 * The imported network that a run was started with, if it was.
 *
 * @param path where its file lies, if it was moved
 */
export async function recordedNetwork({ path: run, config }: RunFolder, path?: string): Promise<OnnxFile | undefined> {
  const record: OnnxRecord | undefined = config.classifier.onnx;
  return record === undefined ? undefined : await reopenOnnx(run, record, path);
}

/** The classifier that a run was started with; `path` as in {@linkcode recordedNetwork}. */
export async function recordedClassifier(folder: RunFolder, path?: string): Promise<ClassifierConfig> {
  const { onnx: _, ...config } = folder.config.classifier;
  return { ...config, network: (await recordedNetwork(folder, path))?.network };
}

/** Where an imported network is not quite what it seems to be, in lines for stderr. */
export function remarks({ encoder, network, height, width }: ClassifierConfig): string[] {
  if (network === undefined) return [];
  const lines = exportRemarks(network.model);
  const [, , h, w] = network.model.input.shape;
  if ((h ?? height) !== height || (w ?? width) !== width) {
    lines.push(`the file states images of ${h ?? "any"}x${w ?? "any"}; these are ${height}x${width}`);
  }
  return lines.map((line) => `${encoder}: ${line}`);
}

/** A checkpoint under the model's names: wrappers' prefixes are taken off names that are not the model's as they are. */
export function underNames({ parameters }: ModelLayouts, found: StateDict): StateDict {
  return stripPrefixes(found, new Set(parameters.map(({ name }) => name)));
}

/** Weights of `--weights-path`, else those of `--onnx`, else fresh ones. */
export async function loadWeights(
  flags: ModelFlags,
  config: ClassifierConfig,
  head: LoadOptions["head"],
): Promise<Weights> {
  const layouts = layoutModel(config);
  const options = { head, seed: flags.seed };
  const { weightsPath: path } = flags;
  if (path !== undefined) {
    const reading = { keepPrefixes: true, external: readerBeside(path) };
    const found = await readCheckpoint(await readInput(path, "a checkpoint"), path, reading);
    return weightsFromStateDict(layouts, underNames(layouts, found), options);
  }
  if (config.network === undefined) return initialWeights(layouts, flags.seed);
  return weightsFromStateDict(layouts, weightsOf(config.network.model, config.network.head), options);
}
