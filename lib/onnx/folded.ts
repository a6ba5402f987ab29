/**
 * Exports that folded BatchNorm into the convolutions before it.
 *
 * @module
 */

import { isMadeUp } from "../checkpoint/onnx_tensor.ts";
import type { OnnxModel } from "./model.ts";

/**
 * Whether the exporter has folded BatchNorm into convolutions: their weights are then products, to which it gave names
 * of its own. Such a network computes the same in evaluation, but trains as plain convolutions with biases.
 */
export function isFolded({ nodes, initialisers }: OnnxModel): boolean {
  return nodes.some(({ operator, inputs }) =>
    operator === "Conv" && initialisers.has(inputs[1]) && isMadeUp(inputs[1])
  );
}
