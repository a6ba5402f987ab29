/**
 * Fresh weights of layers above a backbone.
 *
 * @module
 */

import type { VectorLayout } from "../graph/vector.ts";
import { PhiloxSequence, Stream } from "../random/philox.ts";

/** Part of the initial weights, as in `initialWeights`. */
const HEAD = 1;

/**
 * As PyTorch initialises: weight and bias of a linear layer uniform within 1 / sqrt(inputs), a normalisation at identity.
 *
 * @param layout tensors in the order of `parameters()`: the bias of a layer follows its weight
 */
export function initialHead(layout: VectorLayout, seed: number): Float32Array {
  const values = new Float32Array(layout.count);
  let bound = 0;
  layout.entries.forEach(({ name, torchShape, torchOffset, size }, index) => {
    const target = values.subarray(torchOffset, torchOffset + size);
    if (torchShape.length > 1) bound = 1 / Math.sqrt(torchShape[1]);
    else if (name.endsWith(".weight")) {
      target.fill(1);
      bound = 0;
    }
    const random = new PhiloxSequence(seed, Stream.init, HEAD, index);
    if (bound > 0) { for (let i = 0; i < size; i++) target[i] = bound * (2 * random.uniform() - 1); }
  });
  return values;
}
