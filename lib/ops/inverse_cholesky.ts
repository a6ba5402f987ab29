/**
 * Inverses of Cholesky factors: what makes a covariance the identity.
 *
 * @module
 */

import source from "../../kernels/inverse_cholesky.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { foldGroups, GRID_X, loop } from "./elementwise.ts";
import { matrixProduct } from "./matrix_product.ts";
import { type Dispatch, type Operation, scratch, shapeError, type Tensor } from "./operation.ts";

/**
 * The inverse W of the lower triangular L with L L^T = A, so that W A W^T is the identity. Where a matrix is not positive
 * definite, elements are not finite.
 *
 * The gradient of A is -1/2 W^T S W, with S the lower triangle of dW W^T, mirrored (Murray, arXiv 1602.07527, section 3).
 *
 * @param input [..., D, D]: A, of which the lower triangles are read; its gradient is symmetric
 * @returns the operation; its output is [..., D, D], lower triangular
 * @throws TypeError where the matrices are not square
 */
export function inverseCholesky(name: string, input: Tensor): Operation {
  const [rows, size] = input.shape.slice(-2);
  if (input.shape.length < 2 || rows !== size) {
    throw shapeError("inverseCholesky", `[${input.shape}]`, "square matrices [..., D, D] are required");
  }
  const output = scratch(name, input.shape), matrices = sizeOf(input.shape) / (size * size);
  const products = { products: matrices, m: size, k: size, n: size };
  return {
    kind: "inverseCholesky",
    inputs: [input],
    output,
    forward: () => [{
      label: `${name} forward`,
      source,
      constants: { MATRICES: matrices, SIZE: size, MIRROR: 0, GRID_X },
      bindings: [input, output, scratch(`${name} factor`, input.shape)],
      groups: foldGroups(matrices),
    }],
    backward(target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      const inner = scratch(`${name} gradient times output`, input.shape);
      const mirrored = scratch(`${name} mirrored`, input.shape), half = scratch(`${name} half gradient`, input.shape);
      const plain = (tensor: Tensor) => ({ tensor, transposed: false });
      const flipped = (tensor: Tensor) => ({ tensor, transposed: true });
      const product = (part: string, left: ReturnType<typeof plain>, right: ReturnType<typeof plain>, to: Tensor) =>
        matrixProduct(`${name} gradient ${part}`, target, products, {
          left,
          right,
          output: to,
          accumulate: to === slot.tensor && slot.accumulate,
        });
      return [
        product("times output", plain(dOutput), flipped(output), inner),
        mirror(`${name} gradient mirrored`, inner, mirrored, size),
        product("half", plain(mirrored), plain(output), half),
        product("whole", flipped(output), plain(half), slot.tensor),
      ];
    },
  };
}

/** -1/2 the matrices with their lower triangles in place of the upper ones. */
function mirror(label: string, input: Tensor, output: Tensor, size: number): Dispatch {
  return loop({
    label,
    source,
    count: sizeOf(input.shape),
    constants: { SIZE: size, MIRROR: 1 },
    bindings: [input, output],
  });
}
