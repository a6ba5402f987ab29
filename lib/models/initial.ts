/**
 * From what a network's fresh weights are drawn.
 *
 * @module
 */

import type { PhiloxSequence } from "../random/philox.ts";

/** A distribution of the elements of a tensor. */
export type Initial =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "normal"; readonly deviation: number }
  | { readonly kind: "uniform"; readonly bound: number };

/** Every element the same. */
export function constant(value: number): Initial {
  return { kind: "constant", value };
}

/** Gaussian about 0. */
export function normal(deviation: number): Initial {
  return { kind: "normal", deviation };
}

/** Uniform within `bound` of 0. */
export function uniform(bound: number): Initial {
  return { kind: "uniform", bound };
}

/** Uniform within 1 / sqrt(inputs): PyTorch's default for weights and biases. */
export function byInputs(fanIn: number): Initial {
  return uniform(1 / Math.sqrt(fanIn));
}

/** Uniform by inputs and outputs (Glorot and Bengio, 2010). */
export function xavier(fanIn: number, fanOut: number): Initial {
  return uniform(Math.sqrt(6 / (fanIn + fanOut)));
}

/** Gaussian by outputs (He et al., arXiv 1502.01852), as torchvision draws convolutions [O, I, KH, KW]. */
export function heOut([out, , rows, columns]: readonly number[]): Initial {
  return normal(Math.sqrt(2 / (out * rows * columns)));
}

/** Fills a tensor. */
export function draw(initial: Initial, random: PhiloxSequence, target: Float32Array): void {
  switch (initial.kind) {
    case "constant":
      target.fill(initial.value);
      return;
    case "normal":
      for (let i = 0; i < target.length; i++) target[i] = initial.deviation * random.normal();
      return;
    case "uniform":
      for (let i = 0; i < target.length; i++) target[i] = initial.bound * (2 * random.uniform() - 1);
  }
}
