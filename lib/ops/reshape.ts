/**
 * The same elements in another shape: a view, which costs neither a launch nor memory, and whose gradient is a view.
 *
 * @module
 */

import { sizeOf } from "../tensor.ts";
import { type Operation, requireSize, shapeError, storageOf, type Tensor } from "./operation.ts";

/** The elements of the input, row-major, as `shape`. */
export function reshape(name: string, input: Tensor, shape: readonly number[]): Operation {
  shape.forEach((size) => requireSize("reshape", "a size", size));
  if (sizeOf(shape) !== sizeOf(input.shape)) {
    throw shapeError("reshape", `[${input.shape}] to [${shape}]`, `${sizeOf(input.shape)} elements are required`);
  }
  return {
    kind: "reshape",
    inputs: [input],
    output: { name, shape, role: input.role, viewOf: storageOf(input) },
    forward: () => [],
    backward: () => [],
  };
}
