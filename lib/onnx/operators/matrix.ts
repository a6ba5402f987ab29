/**
 * Matrix products.
 *
 * @module
 */

import { applyLinear } from "../../graph/linear.ts";
import { matmul as matmulOperation } from "../../ops/matmul.ts";
import { expand } from "../../ops/movement.ts";
import type { Operation } from "../../ops/operation.ts";
import { broadcastShapes } from "../../ops/strides.ts";
import { unary } from "../../ops/unary.ts";
import { arithmeticOf } from "./elementwise.ts";
import { arranged, inOrder, plain, transposed } from "../arrange.ts";
import { NodeScope } from "../scope.ts";
import { type DeviceValue, identityOrder, type Value } from "../value.ts";

/** Rows of any order in memory times a matrix [IN, OUT]. */
function rowsTimes(scope: NodeScope, rows: DeviceValue, matrix: DeviceValue, bias?: DeviceValue): DeviceValue {
  const last = rows.shape.length - 1;
  const order = [...rows.order.filter((axis) => axis !== last), last];
  const input = arranged(scope, rows, order), weight = plain(scope, matrix);
  const apply = (operation: Operation) => scope.apply(operation);
  return inOrder(applyLinear(apply, scope.name, input, weight, bias?.tensor), order);
}

/** `Gemm`: a row of features times a weight, and a bias. */
export function gemm(scope: NodeScope): Value {
  const given = scope.device(0);
  if (given.shape.length !== 2) scope.fail(`its first input has the shape [${given.shape}]; two axes are required`);
  const rows = scope.number("transA", 0) !== 0 ? transposed(given, [1, 0]) : given;
  const alpha = scope.number("alpha", 1), beta = scope.number("beta", 1);
  const stated = scope.device(1);
  const matrix = scope.number("transB", 0) !== 0 ? transposed(stated, [1, 0]) : stated;
  const fused = alpha === 1 && beta === 1 && scope.has(2) && scope.value(2).shape.join() === `${matrix.shape[1]}`;
  const product = rowsTimes(scope, rows, matrix, fused ? scope.device(2) : undefined);
  if (fused) return product;
  const scaled = (value: DeviceValue, scale: number): DeviceValue =>
    scale === 1
      ? value
      : { ...value, tensor: scope.apply(unary(scope.name, value.tensor, { kind: "affine", scale, shift: 0 })) };
  if (!scope.has(2)) return scaled(product, alpha);
  const terms = [scaled(product, alpha), scaled(scope.device(2), beta)];
  return arithmeticOf("add")(new NodeScope({ ...scope.node, attributes: new Map() }, terms, scope.construction));
}

/** A value repeated to leading axes. */
function withLeading(scope: NodeScope, value: DeviceValue, leading: readonly number[]): DeviceValue {
  const shape = [...leading, ...value.shape.slice(-2)];
  if (shape.join() === value.shape.join()) return value;
  return inOrder(
    scope.apply(expand(`${scope.name} repeated`, plain(scope, value), shape)),
    identityOrder(shape.length),
  );
}

/** Whether a matrix lies in memory with its columns outside its rows. */
function liesTransposed({ shape, order }: DeviceValue): boolean {
  return order.indexOf(shape.length - 1) < order.indexOf(shape.length - 2);
}

/** Products of many pairs of matrices. */
function pairs(scope: NodeScope, first: DeviceValue, second: DeviceValue): DeviceValue {
  const leading = broadcastShapes("MatMul", first.shape.slice(0, -2), second.shape.slice(0, -2));
  const a = withLeading(scope, first, leading), b = withLeading(scope, second, leading);
  const rank = leading.length + 2;
  const outer = a.order.filter((axis) => axis < leading.length);
  const transposeA = liesTransposed(a), transposeB = liesTransposed(b) && !transposeA;
  const tensorOf = (value: DeviceValue, transposed: boolean) =>
    arranged(scope, value, [...outer, ...transposed ? [rank - 1, rank - 2] : [rank - 2, rank - 1]]);
  const product = matmulOperation(scope.name, tensorOf(a, transposeA), tensorOf(b, transposeB), {
    transposeA,
    transposeB,
  });
  return inOrder(scope.apply(product), [...outer, rank - 2, rank - 1]);
}

/** `MatMul` of matrices, one on the right or as many as on the left. */
export function matmul(scope: NodeScope): Value {
  const [a, b] = [scope.device(0), scope.device(1)];
  if (a.shape.length < 2 || b.shape.length < 2) {
    scope.fail(`it multiplies [${a.shape}] by [${b.shape}]; two axes at least are supported`);
  }
  return b.shape.length === 2 ? rowsTimes(scope, a, b) : pairs(scope, a, b);
}
