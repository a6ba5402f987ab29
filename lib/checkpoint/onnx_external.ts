/**
 * The files beside a model that hold its larger tensors.
 *
 * @module
 */

import { type ExternalFiles, externalLocation, type TensorProto } from "./onnx_tensor.ts";
import { FormatError } from "../errors.ts";

/** Reads a file beside the model by the location that the model states: a relative path without `..`. */
export type ExternalReader = (location: string) => Promise<Uint8Array>;

/** Refuses a location that is not below the model's folder: a file must not choose what else is read. */
function requireBelow(location: string, { name }: TensorProto): void {
  const parts = location.split(/[\\/]/);
  // deno-lint-ignore no-control-regex
  if (parts[0] !== "" && !/^[a-z]:|[\u0000-\u001f\u007f]/i.test(location) && !parts.includes("..")) return;
  throw new FormatError(
    `the initialiser ${JSON.stringify(name)} lies in ${
      JSON.stringify(location)
    }; a path inside the model's folder is ` +
      "required",
  );
}

/** Everything that tensors say to lie in other files. */
export async function readExternals(
  tensors: readonly TensorProto[],
  read: ExternalReader | undefined,
): Promise<ExternalFiles> {
  const files = new Map<string, Uint8Array>();
  for (const tensor of tensors) {
    const location = externalLocation(tensor);
    if (location === undefined || files.has(location)) continue;
    requireBelow(location, tensor);
    if (read !== undefined) files.set(location, await read(location));
  }
  return files;
}
