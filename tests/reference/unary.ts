/**
 * Reference of functions of one number and their derivatives.
 *
 * @module
 */

import { tensor } from "./tensor.ts";
import type { Twin } from "./twin.ts";

/** The error function: its Maclaurin series, and beyond 3 the continued fraction of its complement (DLMF 7.6.1, 7.9.1). */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let term = a, sum = a;
    for (let n = 1; Math.abs(term) > 1e-18 * sum; n++) {
      term *= -(a * a) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * sum * 2 / Math.sqrt(Math.PI);
  }
  let fraction = a;
  for (let n = 80; n > 0; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction);
}

const logistic = (x: number) => 1 / (1 + Math.exp(-x));
const normalCdf = (x: number) => (1 + erf(x / Math.SQRT2)) / 2;
const normalPdf = (x: number) => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
const ROOT = Math.sqrt(2 / Math.PI);

// deno-lint-ignore no-explicit-any
type Function = (x: number, config: any) => number;

/** Value and derivative. */
const FUNCTIONS: Record<string, readonly [Function, Function]> = {
  affine: [(x, { scale, shift }) => scale * x + shift, (_, { scale }) => scale],
  leakyRelu: [(x, { slope }) => x < 0 ? slope * x : x, (x, { slope }) => x > 0 ? 1 : slope],
  clip: [
    (x, { min = -Infinity, max = Infinity }) => x < min ? min : x > max ? max : x,
    (x, { min = -Infinity, max = Infinity }) => x > min && x < max ? 1 : 0,
  ],
  sigmoid: [logistic, (x) => logistic(x) * logistic(-x)],
  hardSigmoid: [
    (x, { alpha, beta }) => Math.min(1, Math.max(0, alpha * x + beta)),
    (x, { alpha, beta }) => alpha * x + beta > 0 && alpha * x + beta < 1 ? alpha : 0,
  ],
  hardSwish: [
    (x) => x * Math.min(1, Math.max(0, x / 6 + 0.5)),
    (x) => x < -3 ? 0 : x <= 3 ? x / 3 + 0.5 : 1,
  ],
  silu: [(x) => x * logistic(x), (x) => logistic(x) * (1 + x * logistic(-x))],
  tanh: [Math.tanh, (x) => 1 - Math.tanh(x) ** 2],
  erf: [erf, (x) => 2 / Math.sqrt(Math.PI) * Math.exp(-x * x)],
  gelu: [
    (x, { approximation }) =>
      approximation === "tanh" ? x / 2 * (1 + Math.tanh(ROOT * (x + 0.044715 * x ** 3))) : x * normalCdf(x),
    (x, { approximation }) => {
      if (approximation !== "tanh") return normalCdf(x) + x * normalPdf(x);
      const t = Math.tanh(ROOT * (x + 0.044715 * x ** 3));
      return (1 + t) / 2 + x / 2 * (1 - t * t) * ROOT * (1 + 3 * 0.044715 * x ** 2);
    },
  ],
  exp: [Math.exp, Math.exp],
  sqrt: [Math.sqrt, (x) => 1 / (2 * Math.sqrt(x))],
  reciprocal: [(x) => 1 / x, (x) => -1 / x ** 2],
  pow: [(x, { exponent }) => x ** exponent, (x, { exponent }) => exponent * x ** (exponent - 1)],
};

/** Operand `input`; `config` is the function's kind with its constants. */
export const unary: Twin = {
  forward: ({ input }, config) => tensor(input.shape, input.data.map((x) => FUNCTIONS[config.kind][0](x, config))),
  backward(dOutput, { input }, config) {
    return {
      input: tensor(input.shape, input.data.map((x, i) => dOutput.data[i] * FUNCTIONS[config.kind][1](x, config))),
    };
  },
};
