/**
 * ONNX files as networks, and the record by which a run finds the same file again.
 *
 * @module
 */

import { type OnnxNetwork, onnxNetwork } from "../../lib/onnx/network.ts";
import type { OnnxModel } from "../../lib/onnx/model.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { readBelow, readInput } from "../cli/files.ts";
import { sha256 } from "./inputs.ts";

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

/** A file's model, and the SHA-256 of each file that it consists of. */
async function readParts(path: string): Promise<{ model: OnnxModel; record: OnnxRecord }> {
  const bytes = await readInput(path, "an ONNX network");
  const folder = path.slice(0, -baseName(path).length).replace(/[\\/]$/, "") || ".";
  const external: Record<string, string> = {};
  const model = await readOnnxModel(bytes, path, async (location) => {
    const part = await readBelow(folder, location, `a part of ${path}`);
    external[location] = await sha256(part);
    return part;
  });
  return { model, record: { path, sha256: await sha256(bytes), external } };
}

/** Reads an ONNX file without looking for its head. */
export async function readOnnxFile(path: string): Promise<OnnxModel> {
  return (await readParts(path)).model;
}

/**
 * Reads a network and its weights.
 *
 * @param head its last layer's node, where it cannot be told
 * @throws FormatError on a file that is damaged, hostile, or no classifier of images
 * @throws UsageError that lists the candidates where the head cannot be told
 */
export async function openOnnx(path: string, head?: string): Promise<OnnxFile> {
  const { model, record } = await readParts(path);
  return { network: onnxNetwork(model, head), record: head === undefined ? record : { ...record, head } };
}

/**
 * Reads the network that a run was started with.
 *
 * @param run its folder, for messages
 * @param path where the file lies now
 * @throws Error where it is missing, or is another file than the run's
 */
export async function reopenOnnx(run: string, recorded: OnnxRecord, path = recorded.path): Promise<OnnxFile> {
  const remedy = "the run's own file is required; --onnx says where it lies now";
  try {
    await Deno.stat(path);
  } catch (cause) {
    throw new Error(`Cannot go on with ${run}: its network ${path} cannot be read; ${remedy}`, { cause });
  }
  const { network, record } = await openOnnx(path, recorded.head);
  for (
    const [name, found, required] of [
      [path, record.sha256, recorded.sha256],
      ...Object.keys({ ...recorded.external, ...record.external }).map((location) =>
        [location, record.external[location], recorded.external[location]] as const
      ),
    ]
  ) {
    if (found === required) continue;
    throw new Error(
      `Cannot go on with ${run}: the SHA-256 of its network's file ${name} is ${found}, but was ${required}; ${remedy}`,
    );
  }
  return { network, record };
}
