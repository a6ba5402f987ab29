/**
 * What the learning of a prior depends on, so that it goes on only from the same.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import type { Weights } from "../../lib/models/weights.ts";
import { sha256OfArrays } from "./hashes.ts";
import { type OnnxFile, reopenOnnx } from "./onnx_file.ts";
import type { UnfinishedPrior } from "./prior_checkpoint.ts";

/** What the prior depends on besides the flags, as SHA-256. */
export function inputsOf(train: ImageSource, { backbone, head, state }: Weights): Record<string, string> {
  return { train: train.hash, weights: sha256OfArrays([backbone, head, state]) };
}

/** Refuses to go on with a prior from other images or other weights. */
export function requireSameInputs({ path, inputs }: UnfinishedPrior, found: Readonly<Record<string, string>>): void {
  for (const [key, name] of Object.entries({ train: "training images", weights: "first weights" })) {
    if (inputs[key] === found[key]) continue;
    throw new Error(`Cannot resume ${path}: the ${name} differ from the prior's; the same ones are required`);
  }
}

/** The imported network that the learning began with, if it did; `path` is where its file lies now. */
export async function networkOf(
  { path: checkpoint, onnx }: UnfinishedPrior,
  path?: string,
): Promise<OnnxFile | undefined> {
  return onnx && await reopenOnnx(checkpoint, onnx, path);
}
