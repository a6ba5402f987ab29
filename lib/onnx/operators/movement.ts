/**
 * The same elements under other shapes and axes: mostly free.
 *
 * @module
 */

import { concat as concatOperation, expand as expandOperation } from "../../ops/movement.ts";
import { broadcastShapes } from "../../ops/strides.ts";
import { sizeOf } from "../../tensor.ts";
import { arranged, inOrder, plain, reshaped, transposed } from "../arrange.ts";
import { concatHost, expanded, strided, transposedHost } from "../host.ts";
import type { NodeScope } from "../scope.ts";
import { hostValue, identityOrder, type Value } from "../value.ts";

function withShape(scope: NodeScope, value: Value, shape: readonly number[]): Value {
  if (value.place === "device") return reshaped(scope, value, shape);
  if (sizeOf(shape) !== sizeOf(value.shape)) scope.fail(`a constant [${value.shape}] cannot become [${shape}]`);
  return hostValue(value.type, shape, value.data);
}

/** `Reshape`, where 0 keeps a size and -1 is what is left. */
export function reshape(scope: NodeScope): Value {
  const value = scope.value(0);
  const keepZero = scope.number("allowzero", 0) === 0;
  const wanted = scope.numbers(1);
  const stated = wanted.map((n, axis) => n === 0 && keepZero ? value.shape[axis] ?? scope.fail(`no axis ${axis}`) : n);
  const known = stated.filter((n) => n !== -1).reduce((a, b) => a * b, 1);
  const shape = stated.map((n) => n === -1 ? sizeOf(value.shape) / known : n);
  if (stated.filter((n) => n === -1).length > 1 || !shape.every((n) => Number.isInteger(n) && n >= 0)) {
    scope.fail(
      `a tensor of shape [${value.shape}] cannot become [${wanted}]; where the file has a fixed batch size, export ` +
        "it with a dynamic one",
    );
  }
  return withShape(scope, value, shape);
}

/** `Flatten` to two axes. */
export function flatten(scope: NodeScope): Value {
  const value = scope.value(0);
  const given = scope.number("axis", 1), rank = value.shape.length;
  const axis = given === rank ? rank : scope.axis(given, rank);
  return withShape(scope, value, [sizeOf(value.shape.slice(0, axis)), sizeOf(value.shape.slice(axis))]);
}

/** `Squeeze`: without the given axes of size 1, or all. */
export function squeeze(scope: NodeScope): Value {
  const value = scope.value(0), rank = value.shape.length;
  const axes = scope.listOrInput("axes", 1)?.map((axis) => scope.axis(axis, rank)) ??
    identityOrder(rank).filter((axis) => value.shape[axis] === 1);
  const wide = axes.find((axis) => value.shape[axis] !== 1);
  if (wide !== undefined) scope.fail(`axis ${wide} of [${value.shape}] has not size 1`);
  return withShape(scope, value, value.shape.filter((_, axis) => !axes.includes(axis)));
}

/** `Unsqueeze`: with axes of size 1 at the given places. */
export function unsqueeze(scope: NodeScope): Value {
  const value = scope.value(0);
  const given = scope.listOrInput("axes", 1) ?? scope.fail("its axes are missing");
  const rank = value.shape.length + given.length;
  const axes = new Set(given.map((axis) => scope.axis(axis, rank)));
  if (axes.size !== given.length) scope.fail(`its axes ${given} name one axis twice`);
  const rest = [...value.shape];
  return withShape(scope, value, identityOrder(rank).map((axis) => axes.has(axis) ? 1 : rest.shift()!));
}

/** `Transpose`: free. */
export function transpose(scope: NodeScope): Value {
  const value = scope.value(0), rank = value.shape.length;
  const permutation = scope.list("perm") ?? identityOrder(rank).reverse();
  if ([...permutation].sort((a, b) => a - b).join() !== identityOrder(rank).join()) {
    scope.fail(`its permutation [${permutation}] is none of the ${rank} axes`);
  }
  return value.place === "device" ? transposed(value, permutation) : transposedHost(value, permutation);
}

/** `Expand` as numpy broadcasts. */
export function expand(scope: NodeScope): Value {
  const value = scope.value(0);
  const shape = broadcastShapes("Expand", value.shape, scope.numbers(1));
  if (value.place === "host") return expanded(value, shape);
  if (shape.join() === value.shape.join()) return value;
  return inOrder(scope.apply(expandOperation(scope.name, plain(scope, value), shape)), identityOrder(shape.length));
}

/** `Concat` along an axis. */
export function concat(scope: NodeScope): Value {
  const count = scope.node.inputs.length;
  const axis = scope.axis(scope.number("axis"), scope.value(0).shape.length);
  if (scope.onHost) return concatHost(Array.from({ length: count }, (_, index) => scope.host(index)), axis);
  const values = Array.from({ length: count }, (_, index) => scope.device(index));
  // All in the order of the largest, which is then not copied first.
  const { order } = values.reduce((a, b) => sizeOf(b.shape) > sizeOf(a.shape) ? b : a);
  const tensors = values.map((value) => arranged(scope, value, order));
  return inOrder(scope.apply(concatOperation(scope.name, tensors, order.indexOf(axis))), order);
}

/** `Tile` of a constant. */
export function tile(scope: NodeScope): Value {
  const value = scope.host(0), repeats = scope.numbers(1);
  const pairs = value.shape.flatMap((n, axis) => [repeats[axis], n]);
  const split = strided(value, value.shape.flatMap((n) => [1, n]), stridesWithOnes(value.shape));
  return hostValue(value.type, value.shape.map((n, axis) => n * repeats[axis]), expanded(split, pairs).data);
}

function stridesWithOnes(shape: readonly number[]): number[] {
  return shape.flatMap((_, axis) => [0, sizeOf(shape.slice(axis + 1))]);
}
