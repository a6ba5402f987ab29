/**
 * Fresh weights of layers above a backbone.
 *
 * @module
 */

import type { VectorLayout } from "../graph/vector.ts";
import { PhiloxSequence, Stream } from "../random/philox.ts";
import { byInputs, constant, draw } from "./initial.ts";

/** Part of the initial weights, as in `initialWeights`. */
const HEAD = 1;

/**
 * As PyTorch initialises: weight and bias of a linear layer uniform within 1 / sqrt(inputs), a normalisation at identity.
 *
 * @param layout tensors in the order of `parameters()`: the bias of a layer follows its weight
 * @param part part of the initial weights, that of the head unless given: each part is drawn by itself
 */
export function initialHead(layout: VectorLayout, seed: number, part = HEAD): Float32Array {
  const values = new Float32Array(layout.count);
  let initial = constant(0);
  layout.entries.forEach(({ name, torchShape, torchOffset, size }, index) => {
    const target = values.subarray(torchOffset, torchOffset + size);
    const isScale = torchShape.length === 1 && name.endsWith(".weight");
    if (torchShape.length > 1) initial = byInputs(torchShape[1]);
    else if (isScale) initial = constant(0);
    draw(isScale ? constant(1) : initial, new PhiloxSequence(seed, Stream.init, part, index), target);
  });
  return values;
}
