/**
 * Reference of the elementwise sum that closes a residual block.
 *
 * @module
 */

import { type Tensor, tensor } from "./tensor.ts";

/**
 * a + b, of equal shapes.
 *
 * @throws {TypeError} where the shapes differ.
 */
export function add(a: Tensor, b: Tensor): Tensor {
  if (a.shape.join() !== b.shape.join()) {
    throw new TypeError(`Cannot add [${b.shape}] to [${a.shape}]: equal shapes are required`);
  }
  return tensor(a.shape, a.data.map((x, i) => x + b.data[i]));
}

/** Gradient of `add`: `dOutput` goes to both terms unchanged. */
export function addBackward(dOutput: Tensor): { readonly dA: Tensor; readonly dB: Tensor } {
  return { dA: tensor(dOutput.shape, dOutput.data), dB: tensor(dOutput.shape, dOutput.data) };
}
