/**
 * What the learning of a prior depends on, so that it goes on only from the same.
 *
 * @module
 */

import type { ImageSource } from "../../lib/data/dataset.ts";
import type { Weights } from "../../lib/models/weights.ts";
import { sha256OfArrays } from "./hashes.ts";
import { type OnnxFile, reopenOnnx } from "./onnx_file.ts";
import type { Flags } from "./prior.ts";
import type { UnfinishedPrior } from "./prior_checkpoint.ts";

/** Flags that do not change the prior; a resumed one takes them from the command line. */
const FREE_FLAGS = [
  "out",
  "json",
  "quiet",
  "resume",
  "force",
  "dryRun",
  "checkpointSteps",
  "profile",
  "autotune",
  "tuningCache",
  "tuningSeconds",
] as const;

/** The flags that the prior is learned with. */
export function settingsOf(flags: Flags): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(flags).filter(([name]) => !(FREE_FLAGS as readonly string[]).includes(name)),
  );
}

/** What the learning began with stays; only how it reports and where its network's file lies is the command line's. */
export function resumedFlags(given: Flags, { flags }: UnfinishedPrior): Flags {
  const free = Object.fromEntries(FREE_FLAGS.map((name) => [name, given[name]]));
  const onnx = flags.onnx === undefined ? undefined : given.onnx ?? flags.onnx;
  return { ...flags, operands: given.operands, ...free, onnx } as Flags;
}

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
