/**
 * The form of the references of operations on tensors of any rank: PyTorch's axes are theirs.
 *
 * @module
 */

import type { Tensor } from "./tensor.ts";

/** Tensors by the name of the operand. */
export type Operands = Readonly<Record<string, Tensor>>;

/** A reference: what an operation computes, and the gradient of each operand that has one. */
export interface Twin {
  // deno-lint-ignore no-explicit-any
  forward(operands: Operands, config: any): Tensor;
  // deno-lint-ignore no-explicit-any
  backward(dOutput: Tensor, operands: Operands, config: any): Operands;
}
