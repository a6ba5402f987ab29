/**
 * Gradients by central differences, in float64.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "./tensor.ts";

/**
 * Step of the central difference (f(x + e) − f(x − e)) / 2e. Truncation costs e²·f‴/6, rounding u·|f|/e with u = 1.1e-16;
 * they balance near the cube root of u, where both are about 3e-11 for f of order 1.
 */
const STEP = 6e-6;
/** Relative to the greatest gradient (or 1): 3e-11, times sums f of order 100 and f‴ of order 10. */
const TOLERANCE = 1e-8;

/** Σ weights ⊙ output: the scalar whose gradient with respect to the output is `weights`. */
export function dot(weights: Tensor, output: Tensor): number {
  assertEquals(output.shape, weights.shape);
  return output.data.reduce((sum, x, i) => sum + x * weights.data[i], 0);
}

/** Asserts that `gradient` is that of `value()` with respect to `operand`, which is nudged in place. */
export function assertGradient(
  what: string,
  gradient: ArrayLike<number>,
  operand: Float64Array,
  value: () => number,
): void {
  assertEquals(gradient.length, operand.length, what);
  const scale = Array.from(gradient).reduce((greatest, g) => Math.max(greatest, Math.abs(g)), 1);
  for (let i = 0; i < operand.length; i++) {
    const kept = operand[i];
    operand[i] = kept + STEP;
    const above = value();
    operand[i] = kept - STEP;
    const below = value();
    operand[i] = kept;
    const difference = (above - below) / (2 * STEP);
    assert(
      Math.abs(gradient[i] - difference) <= TOLERANCE * scale,
      `${what}[${i}]: the gradient is ${gradient[i]}, the central difference ${difference}`,
    );
  }
}
