/**
 * Tensors whose elements lie in another order than row-major: PyTorch's views, NumPy's Fortran order.
 *
 * @module
 */

import type { DType, HostTensor } from "../tensor.ts";
import { type Budget, spend } from "./budget.ts";
import { allocateRaw, ELEMENT_BYTES, type RawData, widen } from "./elements.ts";

/** Whether elements with these strides lie in row-major order without gaps. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/** Copy the elements that `shape` and `strides` pick, in row-major order. */
function gather(source: RawData, target: RawData, shape: readonly number[], strides: readonly number[]): void {
  // One cast stands for the same loop over each array type: elements are only copied.
  const from = source as Float32Array, to = target as Float32Array;
  const inner = shape.length - 1;
  const index = new Array<number>(shape.length).fill(0);
  for (let next = 0, at = 0; next < to.length;) {
    for (let i = 0, k = at; i < shape[inner]; i++, k += strides[inner]) to[next++] = from[k];
    for (let axis = inner - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

/** The dense tensor of `shape` that `strides`, in elements, pick out of `source`. */
export function gatherTensor(
  dtype: DType,
  source: RawData,
  shape: readonly number[],
  strides: readonly number[],
  budget: Budget,
): HostTensor {
  const size = shape.reduce((product, n) => product * n, 1);
  spend(budget, size * ELEMENT_BYTES[dtype], `a tensor of shape [${shape}]`);
  const target = allocateRaw(dtype, size);
  gather(source, target, shape, strides);
  return { dtype, shape, data: widen(dtype, target, budget) };
}
