/**
 * Reference of products of many matrices (`torch.matmul` of equal leading axes).
 *
 * @module
 */

import { type Tensor, tensor } from "./tensor.ts";
import type { Twin } from "./twin.ts";

/** The same elements with the last two axes exchanged. */
function flipped(t: Tensor): Tensor {
  const [rows, columns] = t.shape.slice(-2), size = rows * columns;
  const place = (i: number) =>
    Math.floor(i / size) * size + (i % size % columns) * rows + Math.floor(i % size / columns);
  const output = tensor([...t.shape.slice(0, -2), columns, rows]);
  t.data.forEach((value, i) => output.data[place(i)] = value);
  return output;
}

function product(a: Tensor, b: Tensor): Tensor {
  const [m, k] = a.shape.slice(-2), n = b.shape[b.shape.length - 1];
  const output = tensor([...a.shape.slice(0, -1), n]);
  output.data.forEach((_, i) => {
    const row = Math.floor(i / n), pair = Math.floor(row / m);
    for (let c = 0; c < k; c++) output.data[i] += a.data[row * k + c] * b.data[(pair * k + c) * n + i % n];
  });
  return output;
}

/** Operands `a` and `b`, whose last axes are exchanged where `config.transposeA` or `config.transposeB` says so. */
export const matmul: Twin = {
  forward: ({ a, b }, { transposeA, transposeB }) => product(transposeA ? flipped(a) : a, transposeB ? flipped(b) : b),
  backward(dOutput, { a, b }, { transposeA, transposeB }) {
    const left = transposeA ? flipped(a) : a, right = transposeB ? flipped(b) : b;
    const dLeft = product(dOutput, flipped(right)), dRight = product(flipped(left), dOutput);
    return { a: transposeA ? flipped(dLeft) : dLeft, b: transposeB ? flipped(dRight) : dRight };
  },
};
