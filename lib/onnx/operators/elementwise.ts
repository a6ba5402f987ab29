/**
 * Arithmetic with broadcasting, comparisons and choices.
 *
 * @module
 */

import { add } from "../../ops/add.ts";
import { arithmetic, type ArithmeticKind } from "../../ops/arithmetic.ts";
import { broadcastShapes } from "../../ops/strides.ts";
import { type Unary, unary } from "../../ops/unary.ts";
import { where as whereOperation } from "../../ops/where.ts";
import { sizeOf } from "../../tensor.ts";
import { aligned, deviceValue, inOrder } from "../arrange.ts";
import { transposedHost, zip } from "../host.ts";
import type { NodeScope } from "../scope.ts";
import { type DeviceValue, type HostValue, hostValue, type Value } from "../value.ts";

/** `Add`, `Sub`, `Mul` or `Div`. */
export function arithmeticOf(kind: ArithmeticKind): (scope: NodeScope) => Value {
  return (scope) => {
    const [a, b] = [scope.value(0), scope.value(1)];
    if (a.place === "host" && b.place === "host") return zip(a.type, [a, b], hostArithmetic(kind, a));
    if (a.place === "host" && sizeOf(a.shape) === 1) return scalar(scope, a, b as DeviceValue, SCALAR_FIRST[kind]);
    if (b.place === "host" && sizeOf(b.shape) === 1) return scalar(scope, b, a as DeviceValue, SCALAR_SECOND[kind]);
    return onDevice(scope, kind, scope.device(0), scope.device(1));
  };
}

/** ONNX's integer division truncates. */
function hostArithmetic(kind: ArithmeticKind, { type }: HostValue): (a: number, b: number) => number {
  const divide = (a: number, b: number) => type === "integer" ? Math.trunc(a / b) : a / b;
  return { add: (a: number, b: number) => a + b, sub: (a: number, b: number) => a - b, mul, div: divide }[kind];
}

function mul(a: number, b: number): number {
  return a * b;
}

function onDevice(scope: NodeScope, kind: ArithmeticKind, a: DeviceValue, b: DeviceValue): DeviceValue {
  const shape = broadcastShapes(kind, a.shape, b.shape);
  const { tensors: [x, y], order } = aligned(scope, [a, b], shape.length);
  const operation = kind === "add" && x.shape.join() === y.shape.join()
    ? add(scope.name, x, y)
    : arithmetic(scope.name, kind, x, y);
  return inOrder(scope.apply(operation), order);
}

/** Functions of x that arithmetic with the number c amounts to. */
type ScalarFunctions = (c: number) => Unary[];

const affine = (scale: number, shift: number): Unary => ({ kind: "affine", scale, shift });
const SCALAR_SECOND: Readonly<Record<ArithmeticKind, ScalarFunctions>> = {
  add: (c) => [affine(1, c)],
  sub: (c) => [affine(1, -c)],
  mul: (c) => [affine(c, 0)],
  div: (c) => [affine(1 / c, 0)],
};
const SCALAR_FIRST: Readonly<Record<ArithmeticKind, ScalarFunctions>> = {
  ...SCALAR_SECOND,
  sub: (c) => [affine(-1, c)],
  div: (c) => [{ kind: "reciprocal" }, affine(c, 0)],
};

function scalar(scope: NodeScope, c: HostValue, value: DeviceValue, functions: ScalarFunctions): DeviceValue {
  const tensor = functions(c.data[0]).reduce((x, fn) => scope.apply(unary(scope.name, x, fn)), value.tensor);
  const extra = Math.max(0, c.shape.length - value.shape.length);
  const ones = Array.from({ length: extra }, (_, axis) => axis);
  return deviceValue(
    tensor,
    [...ones.map(() => 1), ...value.shape],
    [...ones, ...value.order.map((axis) => axis + extra)],
  );
}

/**
 * A function of constants only: what shape arithmetic and masks are made of. It takes as many as `fn` has parameters, or
 * any number where it lists none.
 */
export function hostOnly(
  type: "boolean" | "same",
  fn: (...elements: number[]) => number,
): (scope: NodeScope) => Value {
  return (scope) => {
    const count = fn.length || Math.max(1, scope.node.inputs.length);
    const values = Array.from({ length: count }, (_, index) => scope.host(index));
    return zip(type === "same" ? values[0].type : type, values, fn);
  };
}

/** `Mod`: with the divisor's sign, or the dividend's under `fmod`. */
export function mod(scope: NodeScope): Value {
  const fmod = scope.number("fmod", 0) !== 0;
  const [a, b] = [scope.host(0), scope.host(1)];
  return zip(a.type, [a, b], (x, y) => fmod ? x % y : x - Math.floor(x / y) * y);
}

/** `Where`: a choice by a constant condition. */
export function where(scope: NodeScope): Value {
  const condition = scope.host(0), [a, b] = [scope.value(1), scope.value(2)];
  if (a.place === "host" && b.place === "host") return zip(a.type, [condition, a, b], (c, x, y) => c !== 0 ? x : y);
  const shape = broadcastShapes("Where", condition.shape, a.shape, b.shape);
  const { tensors: [x, y], order } = aligned(scope, [scope.device(1), scope.device(2)], shape.length);
  const extended = [...Array(shape.length - condition.shape.length).fill(1), ...condition.shape];
  const { shape: sizes, data } = transposedHost({ ...condition, shape: extended }, order);
  const choices = new Uint32Array(data.length);
  // Not from(): its function costs a second for what is allowed here at most.
  for (let i = 0; i < choices.length; i++) choices[i] = data[i] === 0 ? 0 : 1;
  const mask = scope.constant(`${scope.name} condition`, sizes, choices);
  return inOrder(scope.apply(whereOperation(scope.name, mask, x, y)), order);
}

/** `Pow` by a constant. */
export function pow(scope: NodeScope): Value {
  const [base, exponent] = [scope.value(0), scope.host(1)];
  if (base.place === "host") return zip(base.type, [base, exponent], Math.pow);
  if (sizeOf(exponent.shape) !== 1) scope.fail(`its exponent has the shape [${exponent.shape}]; one is required`);
  return scalar(scope, exponent, base, (c) => [{ kind: "pow", exponent: c }]);
}

/** A constant's elements through a function, or a tensor's through a kernel. */
export function unaryOf(fn: Unary, host?: (x: number) => number): (scope: NodeScope) => Value {
  return (scope) => {
    const value = scope.value(0);
    if (value.place === "host" && host !== undefined) return hostValue(value.type, value.shape, value.data.map(host));
    const input = scope.device(0);
    return { ...input, tensor: scope.apply(unary(scope.name, input.tensor, fn)) };
  };
}
