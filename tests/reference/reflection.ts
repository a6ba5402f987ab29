/** Orthogonal matrices for tests. */

import { hashedUnit } from "./hashed.ts";

/** I - 2 v v^T / v^T v, [size, size]: orthogonal, and its own inverse; v is hashed. */
export function reflection(size: number, stream: number): Float32Array {
  const v = Array.from({ length: size }, (_, i) => hashedUnit(stream, i));
  const square = v.reduce((sum, x) => sum + x * x, 0);
  return Float32Array.from({ length: size * size }, (_, at) => {
    const i = Math.floor(at / size), j = at % size;
    return (i === j ? 1 : 0) - 2 * v[i] * v[j] / square;
  });
}
