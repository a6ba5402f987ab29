/**
 * Where the learning of a prior is: a file beside the prior that is to be, removed once the prior is written.
 *
 * @module
 */

import type { TuningTable } from "../../lib/gpu/tuning_table.ts";
import type { PriorCheckpoint } from "../../lib/inference/learn_prior.ts";
import type { ModelLayouts } from "../../lib/models/device_model.ts";
import { stateDictFromWeights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { float32Tensor, type StateDict } from "../../lib/tensor.ts";
import { exists } from "../cli/files.ts";
import type { OnnxRecord } from "./onnx_file.ts";
import {
  putSamplerState,
  readStateFile,
  type StateFile,
  takeSamplerState,
  takeVector,
  writeStateFile,
} from "./state_file.ts";

/** Before the names of what an objective remembers. */
const MEMORY_PREFIX = "memory.";

/** The flags that a prior is learned with, and what it depends on besides. */
export interface PriorSettings {
  readonly flags: Readonly<Record<string, unknown>>;
  /** SHA-256 of training images and first weights. */
  readonly inputs: Readonly<Record<string, string>>;
  /** The file of an imported network. */
  readonly onnx?: OnnxRecord;
  /** How matrix products are computed. */
  readonly tuning: TuningTable;
}

/** The learning of a prior that was stopped. */
export interface UnfinishedPrior extends PriorSettings {
  readonly path: string;
  readonly file: StateFile;
}

/** The checkpoint's path. */
export function checkpointPath(out: string): string {
  return `${out}.checkpoint`;
}

/** Refuses to begin where another prior was not finished. */
export async function requireNoCheckpoint(out: string): Promise<void> {
  const path = checkpointPath(out);
  if (!await exists(path)) return;
  throw new Error(
    `Cannot write ${out}: ${path} holds a prior that was not finished; --resume goes on with it, --force begins again`,
  );
}

/** Replaces the checkpoint. */
export async function writePriorCheckpoint(
  out: string,
  layouts: ModelLayouts,
  { flags, inputs, onnx, tuning }: PriorSettings,
  { step, weights, state, swag, memories = {} }: PriorCheckpoint,
): Promise<void> {
  const tensors: StateDict = new Map(stateDictFromWeights(layouts, weights));
  putSamplerState(tensors, state);
  const { mean, squares, rows, count } = swag;
  const put = (name: string, values: Float32Array) => tensors.set(name, float32Tensor([values.length], values));
  put("swag.mean", mean);
  put("swag.squares", squares);
  rows.forEach((row, index) => put(`swag.row.${index}`, row));
  for (const [name, values] of Object.entries(memories)) put(MEMORY_PREFIX + name, values);
  const facts = {
    step: String(step),
    snapshots: String(count),
    flags: JSON.stringify(flags),
    inputs: JSON.stringify(inputs),
    tuning: JSON.stringify(tuning),
    ...onnx && { onnx: JSON.stringify(onnx) },
  };
  await writeStateFile(checkpointPath(out), { tensors, facts });
}

/**
 * Opens the checkpoint of a prior that was not finished.
 *
 * @throws Error if there is none
 * @throws FormatError if it is not what was written
 */
export async function openUnfinishedPrior(out: string): Promise<UnfinishedPrior> {
  const path = checkpointPath(out);
  if (!await exists(path)) {
    throw new Error(
      `Cannot resume ${out}: there is no ${path}, and a checkpoint is required; begin again without --resume`,
    );
  }
  const file = await readStateFile(path, "a prior's checkpoint", "begin again with --force");
  const { flags, inputs, tuning, onnx } = file.facts;
  return {
    path,
    file,
    flags: JSON.parse(flags),
    inputs: JSON.parse(inputs),
    tuning: JSON.parse(tuning),
    onnx: onnx && JSON.parse(onnx),
  };
}

/** What the learning goes on from. */
export function priorCheckpointOf({ file }: UnfinishedPrior, layouts: ModelLayouts): PriorCheckpoint {
  const tensors: StateDict = new Map(file.tensors);
  const state = takeSamplerState(tensors);
  const mean = takeVector(tensors, "swag.mean")!, squares = takeVector(tensors, "swag.squares")!;
  const rows: Float32Array[] = [];
  for (let row = takeVector(tensors, "swag.row.0"); row; row = takeVector(tensors, `swag.row.${rows.length}`)) {
    rows.push(row);
  }
  const memories = Object.fromEntries(
    [...tensors.keys()].filter((name) => name.startsWith(MEMORY_PREFIX))
      .map((name) => [name.slice(MEMORY_PREFIX.length), takeVector(tensors, name)!]),
  );
  const weights = weightsFromStateDict(layouts, tensors, { head: "require", seed: 0 });
  const count = Number(file.facts.snapshots);
  return { step: Number(file.facts.step), weights, state, memories, swag: { count, mean, squares, rows } };
}

/** Removes the checkpoint, if there is one: the prior is written. */
export async function removeCheckpoint(out: string): Promise<void> {
  await Deno.remove(checkpointPath(out)).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
