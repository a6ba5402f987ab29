/**
 * The folder of a run: settings, metrics, samples, checkpoint and predictions. Every file is written whole or not at
 * all; what a killed run left is enough to go on.
 *
 * @module
 */

import { readSafetensors, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { FormatError } from "../../lib/errors.ts";
import type { ChainCheckpoint, Sample } from "../../lib/inference/chain.ts";
import type { StepMetrics } from "../../lib/inference/metrics_ring.ts";
import type { ModelLayouts } from "../../lib/models/device_model.ts";
import { stateDictFromWeights, type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { exists, nearestFolder, readInput, removeLeftovers, requireWritableFolder, writeWhole } from "../cli/files.ts";
import { sha256 } from "./hashes.ts";
import { putSamplerState, readStateFile, takeSamplerState, writeStateFile } from "./state_file.ts";

/** One sample in `samples/manifest.json`. */
export interface SampleEntry {
  readonly file: string;
  readonly chain: number;
  readonly step: number;
  /** In nats. */
  readonly logPrior: number;
  readonly sha256: string;
}

/** Where a run stopped. */
export interface ResumePoint {
  readonly chain: number;
  readonly checkpoint?: ChainCheckpoint;
}

const encoder = new TextEncoder();

function json(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value, null, 2) + "\n");
}

/** A run's folder. */
export class RunFolder {
  readonly path: string;
  /** `config.json`. */
  // deno-lint-ignore no-explicit-any
  readonly config: any;
  #samples: SampleEntry[];

  private constructor(path: string, config: unknown, samples: SampleEntry[]) {
    this.path = path;
    this.config = config;
    this.#samples = samples;
  }

  /** Refuses a path that holds a run, or is no folder that can be written: before a run's work begins. */
  static async requireNew(path: string): Promise<void> {
    const found = await Deno.stat(path).catch(() => undefined);
    if (found !== undefined && !found.isDirectory) {
      throw new Error(`Cannot write the run ${path}: it is a file, and a folder is required`);
    }
    if (await exists(`${path}/config.json`)) {
      throw new Error(
        `Cannot write the run ${path}: it holds a run, and a new folder is required; --resume goes on with that run`,
      );
    }
    await requireWritableFolder(await nearestFolder(path), `the run ${path}`);
  }

  /** Refuses a run that cannot be gone on with: its folder may have been made read-only. */
  async requireWritable(): Promise<void> {
    for (const folder of ["samples", "checkpoint", "predictions"]) {
      await requireWritableFolder(await nearestFolder(`${this.path}/${folder}`), `the run ${this.path}`);
    }
  }

  /** Deletes what a killed process was writing. */
  async removeLeftovers(): Promise<void> {
    for (const folder of ["", "/samples", "/checkpoint", "/predictions"]) await removeLeftovers(this.path + folder);
  }

  /** Makes the folder of a new run; refuses one that holds a run. */
  static async create(path: string, config: unknown): Promise<RunFolder> {
    await RunFolder.requireNew(path);
    try {
      await Deno.mkdir(`${path}/samples`, { recursive: true });
      await Deno.mkdir(`${path}/checkpoint`, { recursive: true });
      await Deno.mkdir(`${path}/predictions`, { recursive: true });
    } catch (cause) {
      throw new Error(
        `Cannot write the run ${path}: ${(cause as Error).message}; a folder that can be written is required`,
        { cause },
      );
    }
    await writeWhole(`${path}/config.json`, json(config), false);
    return new RunFolder(path, config, []);
  }

  /**
   * Opens the folder of a run that exists.
   *
   * @throws FormatError where the settings or the manifest are not what was written
   */
  static async open(path: string): Promise<RunFolder> {
    const config = await readJson(`${path}/config.json`, "a run's settings", ["flags", "classifier"]);
    const manifest = `${path}/samples/manifest.json`;
    if (!await exists(manifest)) return new RunFolder(path, config, []);
    const { samples } = await readJson(manifest, "a run's manifest", ["samples"]);
    return new RunFolder(path, config, samples as SampleEntry[]);
  }

  /** Samples that the run has kept, in order of chain and step. */
  get samples(): readonly SampleEntry[] {
    return this.#samples;
  }

  /** Keeps a sample; one of the same chain and step is replaced by its equal. */
  async writeSample(layouts: ModelLayouts, sample: Sample): Promise<void> {
    const { chain, step, logPrior } = sample;
    const file = `samples/chain${chain}_step${String(step).padStart(7, "0")}.safetensors`;
    const bytes = writeSafetensors(stateDictFromWeights(layouts, sample.weights), {
      chain: String(chain),
      step: String(step),
    });
    await writeWhole(`${this.path}/${file}`, bytes, true);
    const entry = { file, chain, step, logPrior, sha256: sha256(bytes) };
    const others = this.#samples.filter((other) => other.file !== file);
    this.#samples = [...others, entry].sort((a, b) => a.chain - b.chain || a.step - b.step);
    await writeWhole(`${this.path}/samples/manifest.json`, json({ samples: this.#samples }), true);
  }

  /** Reads a sample's weights and checks that they are what was written. */
  async readSample(layouts: ModelLayouts, { file, sha256: expected }: SampleEntry): Promise<Weights> {
    const bytes = await readInput(`${this.path}/${file}`, "a sample");
    const found = sha256(bytes);
    if (found !== expected) {
      throw new FormatError(
        `Cannot read sample ${file}: its SHA-256 is ${found}, but the manifest requires ${expected}`,
      );
    }
    return weightsFromStateDict(layouts, readSafetensors(bytes, file).tensors, { head: "require", seed: 0 });
  }

  /** Keeps where a chain is. */
  async writeCheckpoint(
    layouts: ModelLayouts,
    chain: number,
    { step, weights, state }: ChainCheckpoint,
  ): Promise<void> {
    const tensors: StateDict = new Map(stateDictFromWeights(layouts, weights));
    putSamplerState(tensors, state);
    const facts = { chain: String(chain), step: String(step) };
    await writeStateFile(`${this.path}/checkpoint/state.safetensors`, { tensors, facts });
  }

  /**
   * Where the run stopped: the start of a chain, or a checkpoint within one.
   *
   * @throws FormatError if the checkpoint is not what was written
   */
  async resumePoint(layouts: ModelLayouts): Promise<ResumePoint> {
    const path = `${this.path}/checkpoint/state.safetensors`;
    if (!await exists(path)) return { chain: 0 };
    const { tensors, facts } = await readStateFile(
      path,
      "a run's checkpoint",
      "remove the file to take the run's steps again",
    );
    const state = takeSamplerState(tensors);
    const weights = weightsFromStateDict(layouts, tensors, { head: "require", seed: 0 });
    return { chain: Number(facts.chain), checkpoint: { step: Number(facts.step), weights, state } };
  }

  /** Appends to `metrics.jsonl`. */
  async appendMetrics(chain: number, metrics: readonly StepMetrics[]): Promise<void> {
    const lines = metrics.map((step) => JSON.stringify({ chain, ...step }) + "\n").join("");
    await Deno.writeTextFile(`${this.path}/metrics.jsonl`, lines, { append: true });
  }

  /** Drops the metrics of steps that will be taken again, and half a line that a kill left. */
  async truncateMetrics({ chain, checkpoint }: ResumePoint): Promise<void> {
    const path = `${this.path}/metrics.jsonl`;
    if (!await exists(path)) return;
    const lines = (await Deno.readTextFile(path)).split("\n").slice(0, -1);
    const kept = lines.filter((line) => {
      const row = parseJson(line, path) as { readonly chain: number; readonly step: number };
      return row.chain < chain || (row.chain === chain && row.step < (checkpoint?.step ?? 0));
    });
    await writeWhole(path, encoder.encode(kept.map((line) => line + "\n").join("")), true);
  }

  /** Writes another file of the run. */
  async writeFile(name: string, bytes: Uint8Array): Promise<void> {
    await writeWhole(`${this.path}/${name}`, bytes, true);
  }
}

/** The object of a JSON file, which must have some members that are objects. */
async function readJson(path: string, as: string, members: readonly string[]): Promise<Record<string, unknown>> {
  const found = parseJson(new TextDecoder().decode(await readInput(path, as)), path);
  const lacking = members.find((name) => typeof (found as Record<string, unknown> | null)?.[name] !== "object");
  if (lacking === undefined) return found as Record<string, unknown>;
  throw new FormatError(`Cannot read ${path} as ${as}: it lacks ${lacking}, which is required`);
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`Cannot read ${path} as JSON: ${(cause as Error).message}`, { cause });
  }
}
