/**
 * One sample of a run: the weights of a network, and what the run knows of it.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import { layoutModel, type ModelLayouts } from "../../lib/models/device_model.ts";
import { stateDictFromWeights, type Weights } from "../../lib/models/weights.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { recordedClassifier } from "./network.ts";
import type { ExportedNetwork } from "./onnx_export.ts";
import { RunFolder, type SampleEntry } from "./run_writer.ts";

/** A sample that was read. */
export interface RunSample extends ExportedNetwork {
  readonly weights: Weights;
  readonly layouts: ModelLayouts;
}

/** The entry of a number, or the last. */
function entryOf({ path, samples }: RunFolder, number: number | undefined): SampleEntry {
  const entry = number === undefined ? samples.at(-1) : samples[number];
  if (entry !== undefined) return entry;
  throw new UsageError(
    samples.length === 0
      ? `Cannot take a sample of ${path}: it holds none; finish the run with infer --resume`
      : `Cannot take sample ${number} of ${path}: it holds ${samples.length}, from 0 to ${samples.length - 1}`,
  );
}

/**
 * Reads a run's sample.
 *
 * @param number its place in `samples/manifest.json`, from 0; the last unless given
 * @param onnx where the file of an imported network lies, if it was moved
 * @throws FormatError where the file is not what the manifest says
 */
export async function readRunSample(
  path: string,
  { number, onnx }: { readonly number?: number; readonly onnx?: string },
): Promise<RunSample> {
  const folder = await RunFolder.open(path);
  const entry = entryOf(folder, number);
  const { normalisation, classNames, flags } = folder.config;
  const config = await recordedClassifier(folder, onnx);
  if (onnx !== undefined && config.network === undefined) {
    throw new UsageError(`Cannot use --onnx: the run ${path} has a network of its own, ${config.encoder}`);
  }
  const layouts = layoutModel(config);
  const weights = await folder.readSample(layouts, entry);
  const facts = {
    weights: "sample of a posterior",
    source: entry.file,
    "source_sha256": entry.sha256,
    chain: String(entry.chain),
    step: String(entry.step),
    "log_prior": String(entry.logPrior),
    sampler: flags.sampler,
  };
  return { config, weights, layouts, options: { normalisation, classNames }, facts };
}

/** A sample's tensors under their names in checkpoints. */
export function tensorsOf({ layouts, weights }: RunSample): StateDict {
  return stateDictFromWeights(layouts, weights);
}
