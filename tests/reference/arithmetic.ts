/**
 * Reference of sums, differences, products and quotients with broadcasting.
 *
 * @module
 */

import { broadcastTo, commonShape, sumTo } from "./indices.ts";
import { type Tensor, tensor } from "./tensor.ts";
import type { Twin } from "./twin.ts";

type Binary = (x: number, y: number) => number;

/** Value, derivative in a, derivative in b. */
const KINDS: Record<string, readonly [Binary, Binary, Binary]> = {
  add: [(x, y) => x + y, () => 1, () => 1],
  sub: [(x, y) => x - y, () => 1, () => -1],
  mul: [(x, y) => x * y, (_, y) => y, (x) => x],
  div: [(x, y) => x / y, (_, y) => 1 / y, (x, y) => -x / y ** 2],
};

function zip(a: Tensor, b: Tensor, fn: Binary): Tensor {
  const shape = commonShape(a.shape, b.shape);
  const x = broadcastTo(a, shape), y = broadcastTo(b, shape);
  return tensor(shape, x.data.map((value, i) => fn(value, y.data[i])));
}

/** Operands `a` and `b`; `config.kind` is one of add, sub, mul and div. */
export const arithmetic: Twin = {
  forward: ({ a, b }, { kind }) => zip(a, b, KINDS[kind][0]),
  backward(dOutput, { a, b }, { kind }) {
    const [, inA, inB] = KINDS[kind];
    const product = (slope: Tensor) => tensor(slope.shape, slope.data.map((s, i) => s * dOutput.data[i]));
    return { a: sumTo(product(zip(a, b, inA)), a.shape), b: sumTo(product(zip(a, b, inB)), b.shape) };
  },
};
