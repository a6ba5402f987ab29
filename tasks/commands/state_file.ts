/**
 * Where a computation is, in one safetensors file that states its own SHA-256: half a file or a flipped bit is told
 * before anything goes on from it.
 *
 * @module
 */

import { readSafetensors, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { FormatError } from "../../lib/errors.ts";
import type { SamplerState } from "../../lib/inference/training.ts";
import { float32Tensor, type StateDict } from "../../lib/tensor.ts";
import { readInput, writeWhole } from "../cli/files.ts";
import { sha256OfArrays } from "./hashes.ts";

/** What a state file holds. */
export interface StateFile {
  readonly tensors: StateDict;
  /** What is said in words: steps, settings. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Replaces a state file, whole or not at all. */
export async function writeStateFile(path: string, { tensors, facts }: StateFile): Promise<void> {
  const bytes = writeSafetensors(tensors, { ...facts, sha256: digestOf({ tensors, facts }) });
  await writeWhole(path, bytes, true);
}

/**
 * Reads a state file; every error says what to do.
 *
 * @param as what it is, for the message: `a run's checkpoint`
 * @param otherwise what to do where it is damaged
 * @throws FormatError if it is not what was written
 * @throws Error if it cannot be read
 */
export async function readStateFile(path: string, as: string, otherwise: string): Promise<StateFile> {
  const { tensors, metadata } = await readTensors(path, as).catch((cause) => {
    const Kind = cause instanceof FormatError ? FormatError : Error;
    throw new Kind(`${cause.message}; ${otherwise}`, { cause });
  });
  const { sha256: expected, ...facts } = metadata;
  const found = digestOf({ tensors, facts });
  if (found !== expected) {
    throw new FormatError(
      `Cannot read ${path} as ${as}: its SHA-256 is ${found}, but it states ${expected}; ${otherwise}`,
    );
  }
  return { tensors, facts };
}

async function readTensors(path: string, as: string) {
  return readSafetensors(await readInput(path, as), path);
}

function digestOf({ tensors, facts }: StateFile): string {
  const names = [...tensors].map(([name, { shape }]) => `${name} [${shape}]`);
  const stated = new TextEncoder().encode(JSON.stringify([Object.entries(facts), names]));
  return sha256OfArrays([stated, ...[...tensors.values()].map(({ data }) => data)]);
}

/** Adds a sampler's state to the tensors of a state file. */
export function putSamplerState(tensors: StateDict, state: SamplerState): void {
  for (const [name, values] of Object.entries(state)) {
    if (values) tensors.set(`sampler.${name}`, float32Tensor([values.length], values));
  }
}

/** Takes a sampler's state out of the tensors of a state file. */
export function takeSamplerState(tensors: StateDict): SamplerState {
  const take = (name: keyof SamplerState) => takeVector(tensors, `sampler.${name}`);
  return { backbone: take("backbone"), head: take("head"), lossScale: take("lossScale") };
}

/** Takes a vector out of the tensors of a state file. */
export function takeVector(tensors: StateDict, name: string): Float32Array | undefined {
  const tensor = tensors.get(name);
  tensors.delete(name);
  return tensor && (tensor.data as Float32Array).slice();
}
