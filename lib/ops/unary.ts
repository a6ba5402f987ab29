/**
 * Functions of one number, element by element: activations and the elementary functions that exported networks use.
 *
 * @module
 */

import source from "../../kernels/unary.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import { type Operation, scratch, type Tensor } from "./operation.ts";

/** A function with its constants. */
export type Unary =
  /** scale * x + shift. */
  | { readonly kind: "affine"; readonly scale: number; readonly shift: number }
  /** slope * x below 0, x above. */
  | { readonly kind: "leakyRelu"; readonly slope: number }
  /** x between the bounds; its gradient is 0 at the bounds, as that of `torch.nn.ReLU6`. */
  | { readonly kind: "clip"; readonly min?: number; readonly max?: number }
  /** alpha * x + beta between 0 and 1; PyTorch's has 1/6 and 1/2. */
  | { readonly kind: "hardSigmoid"; readonly alpha: number; readonly beta: number }
  /** x * P(X <= x) for a standard normal X, or its approximation by a hyperbolic tangent. */
  | { readonly kind: "gelu"; readonly approximation?: "tanh" }
  /** x^exponent; negative x give NaN where the exponent is no whole number, which is 2^24 at most. */
  | { readonly kind: "pow"; readonly exponent: number }
  | { readonly kind: "sigmoid" | "hardSwish" | "silu" | "tanh" | "erf" | "exp" | "sqrt" | "reciprocal" };

/** Greatest whole exponent, without its sign: up to here float32 tells odd ones from even ones. */
const MOST_FACTORS = 2 ** 24;
const LARGEST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

/** Number of each function in `unary.wgsl`. */
const KINDS: Readonly<Record<Unary["kind"], number>> = {
  affine: 0,
  leakyRelu: 1,
  clip: 2,
  sigmoid: 3,
  hardSigmoid: 4,
  hardSwish: 5,
  silu: 6,
  tanh: 7,
  erf: 8,
  gelu: 9,
  exp: 11,
  sqrt: 12,
  reciprocal: 13,
  pow: 14,
};
const GELU_TANH = 10, POW_0 = 15;

/** The two constants of a function. */
function parameters(fn: Unary): [alpha: number, beta: number] {
  if (fn.kind === "affine") return [fn.scale, fn.shift];
  if (fn.kind === "leakyRelu") return [fn.slope, 0];
  if (fn.kind === "clip") return [fn.min ?? -LARGEST_FLOAT32, fn.max ?? LARGEST_FLOAT32];
  if (fn.kind === "hardSigmoid") return [fn.alpha, fn.beta];
  return fn.kind === "pow" ? [fn.exponent, 0] : [0, 0];
}

function kindOf(fn: Unary): number {
  if (fn.kind === "gelu" && fn.approximation === "tanh") return GELU_TANH;
  return fn.kind === "pow" && fn.exponent === 0 ? POW_0 : KINDS[fn.kind];
}

function constantsOf(fn: Unary): Record<string, number> {
  const exponent = fn.kind === "pow" && Number.isInteger(fn.exponent) ? fn.exponent : 0;
  return { KIND: kindOf(fn), POWER: Math.abs(exponent), INVERSE: exponent < 0 ? 1 : 0 };
}

/** fn(input), element by element. Any shape. */
export function unary(name: string, input: Tensor, fn: Unary): Operation {
  const [alpha, beta] = parameters(fn);
  if (!Number.isFinite(alpha) || !Number.isFinite(beta)) {
    throw new RangeError(
      `Cannot build ${fn.kind}: its constants are ${JSON.stringify(fn)}, but finite numbers are required`,
    );
  }
  if (fn.kind === "pow" && Number.isInteger(fn.exponent) && Math.abs(fn.exponent) > MOST_FACTORS) {
    throw new RangeError(`Cannot build pow: its exponent is ${fn.exponent}, but at most ${MOST_FACTORS} is possible`);
  }
  const output = scratch(name, input.shape);
  const size = sizeOf(input.shape), width = widthOf(size);
  const launch = (label: string, constants: Record<string, number>, bindings: Tensor[]) =>
    loop({
      label: `${name} ${label}`,
      source,
      count: size / width,
      width,
      constants: { ...constantsOf(fn), ...constants },
      floats: { ALPHA: alpha, BETA: beta },
      bindings,
    });
  return {
    kind: fn.kind,
    inputs: [input],
    output,
    forward: () => [launch("forward", { BACKWARD: 0 }, [input, output])],
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      const constants = { BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 };
      return [launch("gradient", constants, [input, dOutput, slot.tensor])];
    },
  };
}
