/**
 * Sums and means over axes.
 *
 * @module
 */

import { globalAveragePool } from "../../ops/pool.ts";
import { reduceMean, reduceSum } from "../../ops/reduce.ts";
import { deviceValue, image, inOrder, reshaped, view } from "../arrange.ts";
import type { NodeScope } from "../scope.ts";
import { type DeviceValue, identityOrder, type Value } from "../value.ts";

/** `ReduceMean` or `ReduceSum`. */
export function reduction(kind: "mean" | "sum"): (scope: NodeScope) => Value {
  return (scope) => {
    const value = scope.device(0), rank = value.shape.length;
    const given = scope.listOrInput("axes", 1) ?? [];
    const keep = scope.number("keepdims", 1) !== 0;
    if (given.length === 0 && scope.number("noop_with_empty_axes", 0) !== 0) return value;
    const axes = given.length === 0 ? identityOrder(rank) : given.map((axis) => scope.axis(axis, rank));
    const reduced = kind === "mean" && rank === 4 && [...axes].sort().join() === "2,3"
      ? pooled(scope, value)
      : overAxes(scope, kind, value, axes);
    return keep ? reduced : reshaped(scope, reduced, reduced.shape.filter((_, axis) => !axes.includes(axis)));
  };
}

function pooled(scope: NodeScope, value: DeviceValue): DeviceValue {
  const [n, c] = value.shape;
  return deviceValue(scope.apply(globalAveragePool(scope.name, image(scope, value))), [n, c, 1, 1]);
}

function overAxes(scope: NodeScope, kind: "mean" | "sum", value: DeviceValue, axes: readonly number[]): DeviceValue {
  const physical = axes.map((axis) => value.order.indexOf(axis));
  const input = view(scope, value.tensor, value.order.map((axis) => value.shape[axis]));
  const reduce = kind === "mean" ? reduceMean : reduceSum;
  return inOrder(scope.apply(reduce(scope.name, input, physical, { keepDims: true })), value.order);
}
