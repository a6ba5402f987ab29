/**
 * Exports whose weights are not quite the network's own.
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

/** Whether the export itself ran a batch through BatchNorm, which moved every running statistic by one step. */
export function isTrainingExport({ nodes }: OnnxModel): boolean {
  return nodes.some(({ operator, attributes, outputs }) =>
    operator === "BatchNormalization" && (Number(attributes.get("training_mode") ?? 0) !== 0 || outputs.length > 1)
  );
}
