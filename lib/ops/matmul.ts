/**
 * Products of two tensors of matrices, as `torch.matmul` of equal leading axes: what attention is made of.
 *
 * @module
 */

import { sizeOf } from "../tensor.ts";
import { type Factor, matrixProduct, type ProductOperands, type ProductSizes } from "./matrix_product.ts";
import { type Dispatch, type GradientSlot, type Operation, scratch, shapeError, type Tensor } from "./operation.ts";

/** How the matrices of the operands are stored. */
export interface MatmulOptions {
  /** a is [..., K, M]. */
  readonly transposeA?: boolean;
  /** b is [..., N, K]. Not together with `transposeA`. */
  readonly transposeB?: boolean;
}

function sizesOf(a: Tensor, b: Tensor, { transposeA, transposeB }: MatmulOptions): ProductSizes {
  const leading = a.shape.slice(0, -2);
  const [m, k] = transposeA ? a.shape.slice(-2).toReversed() : a.shape.slice(-2);
  const [inner, n] = transposeB ? b.shape.slice(-2).toReversed() : b.shape.slice(-2);
  const fits = leading.join() === b.shape.slice(0, -2).join() && k === inner;
  if (a.shape.length < 2 || b.shape.length !== a.shape.length || !fits || (transposeA && transposeB)) {
    const stored = (tensor: Tensor, transposed?: boolean) => `[${tensor.shape}]${transposed ? " transposed" : ""}`;
    throw shapeError(
      "matmul",
      `${stored(a, transposeA)} and ${stored(b, transposeB)}`,
      "[..., M, K] and [..., K, N], at most one of them transposed, are required",
    );
  }
  return { products: sizeOf(leading), m, k, n };
}

/** The product a b, [..., M, N], of a [..., M, K] and b [..., K, N]. */
export function matmul(name: string, a: Tensor, b: Tensor, options: MatmulOptions = {}): Operation {
  const { transposeA = false, transposeB = false } = options;
  const sizes = sizesOf(a, b, options), { products, m, k, n } = sizes;
  const output = scratch(name, [...a.shape.slice(0, -2), m, n]);
  const plain = (tensor: Tensor): Factor => ({ tensor, transposed: false });
  const flipped = (tensor: Tensor): Factor => ({ tensor, transposed: true });
  const stored = { a: { tensor: a, transposed: transposeA }, b: { tensor: b, transposed: transposeB } };

  /** The factors of d a as it is stored, and of d b, given d output. */
  const gradientFactors = (which: "a" | "b", dOutput: Tensor): Pick<ProductOperands, "left" | "right"> => {
    if (which === "a") {
      return transposeA
        ? { left: stored.b, right: flipped(dOutput) }
        : { left: plain(dOutput), right: { ...stored.b, transposed: !transposeB } };
    }
    return transposeB
      ? { left: flipped(dOutput), right: stored.a }
      : { left: { ...stored.a, transposed: !transposeA }, right: plain(dOutput) };
  };
  const gradientSizes: Readonly<Record<"a" | "b", ProductSizes>> = {
    a: transposeA ? { products, m: k, k: n, n: m } : { products, m, k: n, n: k },
    b: transposeB ? { products, m: n, k: m, n: k } : { products, m: k, k: m, n },
  };
  return {
    kind: "matmul",
    inputs: [a, b],
    output,
    forward: (target) => {
      const operands = { left: stored.a, right: stored.b, output, accumulate: false };
      return [matrixProduct(`${name} forward`, target, sizes, operands)];
    },
    backward(target, dOutput, gradientOf) {
      const gradient = (which: "a" | "b", slot: GradientSlot | undefined): Dispatch[] => {
        if (slot === undefined) return [];
        const { tensor: slotTensor, accumulate } = slot;
        const operands = { ...gradientFactors(which, dOutput), output: slotTensor, accumulate };
        return [
          matrixProduct(`${name} gradient of ${stored[which].tensor.name}`, target, gradientSizes[which], operands),
        ];
      };
      return [...gradient("a", gradientOf(a)), ...gradient("b", gradientOf(b))];
    },
  };
}
