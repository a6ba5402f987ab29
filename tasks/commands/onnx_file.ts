/**
 * ONNX files as networks, and the record by which a run finds the same file again.
 *
 * @module
 */

import type { ExternalReader } from "../../lib/checkpoint/onnx_external.ts";
import { type OnnxNetwork, onnxNetwork } from "../../lib/onnx/network.ts";
import type { OnnxModel } from "../../lib/onnx/model.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { exists, readBelow, readInput } from "../cli/files.ts";
import { sha256 } from "./hashes.ts";

/** Which file, and which bytes. */
export interface OnnxRecord {
  /** As it was given. */
  readonly path: string;
  readonly sha256: string;
  /** SHA-256 of the files beside it that hold its larger tensors, by the location that it states. */
  readonly external: Readonly<Record<string, string>>;
  /** `--head`, where it was given. */
  readonly head?: string;
}

/** A file's network. */
export interface OnnxFile {
  readonly network: OnnxNetwork;
  readonly record: OnnxRecord;
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.split(/[\\/]/).at(-1)!;
}

/** Reads the files beside a model that hold its larger tensors. */
export function readerBeside(path: string): ExternalReader {
  const folder = path.slice(0, -baseName(path).length).replace(/[\\/]$/, "") || ".";
  return (location) => readBelow(folder, location, `a part of ${path}`);
}

/**
 * The model in a file's bytes; the files beside it that hold its larger tensors are read as well.
 *
 * @param onPart receives each of those
 */
export async function readOnnxFile(
  path: string,
  bytes: Uint8Array,
  onPart: (location: string, part: Uint8Array) => void = () => {},
): Promise<OnnxModel> {
  const readBeside = readerBeside(path);
  return await readOnnxModel(bytes, path, async (location) => {
    const part = await readBeside(location);
    onPart(location, part);
    return part;
  });
}

/**
 * Reads a network and its weights.
 *
 * @param head its last layer's node, where it cannot be told
 * @param onHash is told the SHA-256 of each file before anything is made of it
 * @param read the file's bytes, where they were read already
 * @throws FormatError on a file that is damaged, hostile, or no classifier of images
 * @throws UsageError that lists the candidates where the head cannot be told
 */
export async function openOnnx(
  path: string,
  head?: string,
  onHash: (name: string, sha256: string) => void = () => {},
  read?: Uint8Array,
): Promise<OnnxFile> {
  const bytes = read ?? await readInput(path, "an ONNX network");
  const hash = sha256(bytes), external: Record<string, string> = {};
  onHash(path, hash);
  const model = await readOnnxFile(path, bytes, (location, part) => {
    external[location] = sha256(part);
    onHash(location, external[location]);
  });
  return { network: onnxNetwork(model, head), record: { path, sha256: hash, external, head } };
}

/**
 * Reads the network that a run was started with.
 *
 * @param run its folder, for messages
 * @param path where the file lies now
 * @throws Error where it is missing, or is another file than the run's
 */
export async function reopenOnnx(run: string, recorded: OnnxRecord, path = recorded.path): Promise<OnnxFile> {
  const remedy = "the file that the run was started with is required; --onnx says where it lies now";
  if (!await exists(path)) throw new Error(`Cannot go on with ${run}: there is no network ${path}; ${remedy}`);
  return await openOnnx(path, recorded.head, (name, found) => {
    const required = name === path ? recorded.sha256 : recorded.external[name];
    if (found === required) return;
    throw new Error(
      `Cannot go on with ${run}: the SHA-256 of its network's file ${name} is ${found}, but was ${required}; ${remedy}`,
    );
  });
}
