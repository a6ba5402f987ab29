/**
 * What is asked of every hostile ONNX file: that it is refused with one clear line, by an error of ours.
 *
 * @module
 */

import { assert, assertEquals, assertNotMatch, assertRejects } from "@std/assert";
import { FormatError, UsageError } from "../../lib/errors.ts";
import { classifierCost } from "../../lib/models/cost.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { encode, type Initialiser, type Model, type ModelGraph, smallModel } from "./small_model.ts";

/** What our code throws. What JavaScript itself throws of a mistake of ours is of neither class. */
class OwnTypeError extends TypeError {}
class OwnRangeError extends RangeError {}
Object.assign(globalThis, { TypeError: OwnTypeError, RangeError: OwnRangeError });

/** Reads a file and works out all that `inspect` says of it. */
export async function consume(bytes: Uint8Array, size = 8): Promise<void> {
  const network = onnxNetwork(await readOnnxModel(bytes, "FILE"));
  const config = { encoder: "x", network, numClasses: network.head.numClasses, height: size, width: size };
  layoutModel(config);
  classifierCost(config, 2);
}

/** Asserts that an error is one that a user understands: of a class of ours, in one line, about the file. */
export function assertClear(error: unknown): void {
  const stack = error instanceof Error ? error.stack : String(error);
  assert([FormatError, UsageError, TypeError, RangeError].some((type) => error instanceof type), stack);
  const { message } = error as Error;
  assertEquals(message.includes("\n"), false, message);
  assert(message.startsWith("Cannot "), stack);
  assertNotMatch(message, /undefined|null/, stack);
}

/** The message with which a file is refused. */
export async function refusal(model: Model | Uint8Array): Promise<string> {
  const error = await assertRejects(() => consume(model instanceof Uint8Array ? model : encode(model)));
  assertClear(error);
  return (error as Error).message;
}

/** The small model with its graph changed. */
export function changed(change: (graph: ModelGraph) => void): Model {
  const model = smallModel();
  change(model.graph);
  return model;
}

/** A stored tensor of the graph. */
export function tensorOf({ initializer }: ModelGraph, name: string): Initialiser {
  return initializer!.find((tensor) => tensor.name === name)!;
}
