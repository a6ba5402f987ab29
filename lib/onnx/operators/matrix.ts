/**
 * Matrix products.
 *
 * @module
 */

import { linear } from "../../ops/linear.ts";
import { unary } from "../../ops/unary.ts";
import { arithmeticOf } from "./elementwise.ts";
import { arranged, inOrder, plain, transposed } from "../arrange.ts";
import { NodeScope } from "../scope.ts";
import type { DeviceValue, Value } from "../value.ts";

/** Rows of any order in memory times a matrix [IN, OUT]. */
function rowsTimes(scope: NodeScope, rows: DeviceValue, matrix: DeviceValue, bias?: DeviceValue): DeviceValue {
  const last = rows.shape.length - 1;
  const order = [...rows.order.filter((axis) => axis !== last), last];
  const product = linear(scope.name, arranged(scope, rows, order), plain(scope, matrix), bias?.tensor);
  return inOrder(scope.apply(product), order);
}

/** `Gemm`: a row of features times a weight, and a bias. */
export function gemm(scope: NodeScope): Value {
  if (scope.number("transA", 0) !== 0) scope.fail("it transposes its first input");
  const alpha = scope.number("alpha", 1), beta = scope.number("beta", 1);
  const stated = scope.device(1);
  const matrix = scope.number("transB", 0) !== 0 ? transposed(stated, [1, 0]) : stated;
  const fused = alpha === 1 && beta === 1 && scope.has(2) && scope.value(2).shape.join() === `${matrix.shape[1]}`;
  const product = rowsTimes(scope, scope.device(0), matrix, fused ? scope.device(2) : undefined);
  if (fused) return product;
  const scaled = (value: DeviceValue, scale: number): DeviceValue =>
    scale === 1
      ? value
      : { ...value, tensor: scope.apply(unary(scope.name, value.tensor, { kind: "affine", scale, shift: 0 })) };
  if (!scope.has(2)) return scaled(product, alpha);
  const terms = [scaled(product, alpha), scaled(scope.device(2), beta)];
  return arithmeticOf("add")(new NodeScope({ ...scope.node, attributes: new Map() }, terms, scope.construction));
}

/** `MatMul` with one matrix on the right. */
export function matmul(scope: NodeScope): Value {
  const [a, b] = [scope.device(0), scope.device(1)];
  if (a.shape.length < 2 || b.shape.length !== 2) {
    scope.fail(`it multiplies [${a.shape}] by [${b.shape}]; a single matrix on the right is supported`);
  }
  return rowsTimes(scope, a, b);
}
