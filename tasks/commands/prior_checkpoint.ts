/**
 * Where the learning of a prior is: a file beside the prior that is to be, removed once the prior is written.
 *
 * @module
 */

import { basename, dirname } from "node:path";
import type { TuningTable } from "../../lib/gpu/tuning_table.ts";
import type { LearnedPrior, PriorCheckpoint } from "../../lib/inference/learn_prior.ts";
import type { ModelLayouts } from "../../lib/models/device_model.ts";
import { stateDictFromWeights, weightsFromStateDict } from "../../lib/models/weights.ts";
import type { SwagKind } from "../../lib/priors/kinds.ts";
import { float32Tensor, type StateDict } from "../../lib/tensor.ts";
import { exists, removeLeftovers } from "../cli/files.ts";
import type { OnnxRecord } from "./onnx_file.ts";
import { priorPaths } from "./prior_files.ts";
import type { PriorEvaluation } from "./prior_learning.ts";
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

/** Where the learning is. */
export interface PriorResumePoint {
  readonly chain: number;
  /** Where the chain is; without one at its start. */
  readonly checkpoint?: PriorCheckpoint;
  /** What was measured so far, of all chains: what is measured after the checkpoint is measured again. */
  readonly evaluations: readonly PriorEvaluation[];
}

/** Replaces the checkpoint. */
export async function writePriorCheckpoint(
  out: string,
  layouts: ModelLayouts,
  { flags, inputs, onnx, tuning }: PriorSettings,
  { chain, checkpoint, evaluations }: PriorResumePoint,
): Promise<void> {
  const settings = {
    flags: JSON.stringify(flags),
    inputs: JSON.stringify(inputs),
    tuning: JSON.stringify(tuning),
    ...onnx && { onnx: JSON.stringify(onnx) },
    chain: String(chain),
    evaluations: JSON.stringify(evaluations),
  };
  if (checkpoint === undefined) {
    await writeStateFile(checkpointPath(out), { tensors: new Map(), facts: settings });
    return;
  }
  const { step, weights, state, swag, memories = {} } = checkpoint;
  const tensors: StateDict = new Map(stateDictFromWeights(layouts, weights));
  putSamplerState(tensors, state);
  const { mean, squares, rows, count, sketch } = swag;
  const put = (name: string, values: Float32Array) => tensors.set(name, float32Tensor([values.length], values));
  put("swag.mean", mean);
  put("swag.squares", squares);
  putRows(tensors, "swag.row", rows);
  if (sketch) putRows(tensors, "swag.sketch", sketch.rows);
  for (const [name, values] of Object.entries(memories)) put(MEMORY_PREFIX + name, values);
  const facts = { ...settings, step: String(step), snapshots: String(count), shrunk: String(sketch?.shrunk ?? 0) };
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
export function priorResumePoint({ file }: UnfinishedPrior, layouts: ModelLayouts): PriorResumePoint {
  const { step, snapshots, shrunk } = file.facts, chain = Number(file.facts.chain ?? 0);
  // A checkpoint of an earlier version has none.
  const evaluations: PriorEvaluation[] = JSON.parse(file.facts.evaluations ?? "[]");
  if (step === undefined) return { chain, evaluations };
  const tensors: StateDict = new Map(file.tensors);
  const state = takeSamplerState(tensors);
  const mean = takeVector(tensors, "swag.mean")!, squares = takeVector(tensors, "swag.squares")!;
  const rows = takeRows(tensors, "swag.row");
  const sketch = { rows: takeRows(tensors, "swag.sketch"), shrunk: Number(shrunk) };
  const memories = Object.fromEntries(
    [...tensors.keys()].filter((name) => name.startsWith(MEMORY_PREFIX))
      .map((name) => [name.slice(MEMORY_PREFIX.length), takeVector(tensors, name)!]),
  );
  const weights = weightsFromStateDict(layouts, tensors, { head: "require", seed: 0 });
  const swag = { count: Number(snapshots), mean, squares, rows, sketch };
  return { chain, checkpoint: { step: Number(step), weights, state, memories, swag }, evaluations };
}

/** The path of what a chain learned, until all chains are merged. */
function chainPath(out: string, chain: number): string {
  return `${out}.chain${chain}`;
}

/** Writes what a chain learned. */
export async function writeChain(out: string, chain: number, { swag, snapshots }: LearnedChain): Promise<void> {
  const vector = (values: Float32Array) => float32Tensor([values.length], values);
  const tensors: StateDict = new Map([["mean", vector(swag.mean)], ["variance", vector(swag.variance)]]);
  putRows(tensors, "row", swag.covFactor);
  const facts = { snapshots: String(snapshots), kind: swag.kind ?? "deviations" };
  await writeStateFile(chainPath(out, chain), { tensors, facts });
}

/** What a chain learned. */
export type LearnedChain = Pick<LearnedPrior, "swag" | "snapshots">;

/**
 * Reads what a chain learned.
 *
 * @throws FormatError if it is not what was written
 */
export async function readChain(out: string, chain: number): Promise<LearnedChain> {
  const file = await readStateFile(chainPath(out, chain), "a chain's prior", "begin again with --force");
  const tensors: StateDict = new Map(file.tensors);
  const mean = takeVector(tensors, "mean")!, variance = takeVector(tensors, "variance")!;
  const swag = { mean, variance, covFactor: takeRows(tensors, "row"), kind: file.facts.kind as SwagKind };
  return { swag, snapshots: Number(file.facts.snapshots) };
}

/** Whether there is nothing to go on with because the prior is there, in the one format or the other. */
export async function isFinished(out: string): Promise<boolean> {
  return !await exists(checkpointPath(out)) && (await exists(out) || await exists(priorPaths(out).mean));
}

/**
 * Removes the checkpoint and what chains learned, where there is any, and what kills left of them: the prior is written, or
 * begins again.
 */
export async function removeCheckpoint(out: string): Promise<void> {
  await removeIfThere(checkpointPath(out));
  await removeLeftovers(dirname(out), basename(checkpointPath(out)));
  for (let chain = 0; await removeIfThere(chainPath(out, chain)); chain++) {
    await removeLeftovers(dirname(out), basename(chainPath(out, chain)));
  }
}

async function removeIfThere(path: string): Promise<boolean> {
  try {
    await Deno.remove(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function putRows(tensors: StateDict, name: string, rows: readonly Float32Array[]): void {
  rows.forEach((row, index) => tensors.set(`${name}.${index}`, float32Tensor([row.length], row)));
}

function takeRows(tensors: StateDict, name: string): Float32Array[] {
  const rows: Float32Array[] = [];
  for (let row = takeVector(tensors, `${name}.0`); row; row = takeVector(tensors, `${name}.${rows.length}`)) {
    rows.push(row);
  }
  return rows;
}
