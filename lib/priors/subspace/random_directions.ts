/**
 * A factor of random directions: what a learned factor has to beat.
 *
 * @module
 */

import { PhiloxSequence, Stream } from "../../random/philox.ts";

/**
 * K rows sqrt(variance / K) * z with standard normal z: the expectation of Q^T Q over the seed is diag(variance), and the
 * correlations of weights are chance. The original's subspace of that name has rows z, whatever the weights' scale.
 */
export function randomDirections(variance: Float32Array, rank: number, seed: number): Float32Array[] {
  return Array.from({ length: rank }, (_, k) => {
    const random = new PhiloxSequence(seed, Stream.subspace, k);
    return variance.map((value) => Math.sqrt(value / rank) * random.normal());
  });
}
