/**
 * Values that the file states, and values that pass through.
 *
 * @module
 */

import type { NodeScope } from "../scope.ts";
import { checkedHostSize, FLOAT_TYPES, type HostType, hostValue, integers, type Value } from "../value.ts";

/** `Constant`: a tensor, a number or a list. */
export function constant(scope: NodeScope): Value {
  const tensor = scope.tensor("value");
  if (tensor !== undefined) return tensor;
  const floats = scope.list("value_floats"), ints = scope.list("value_ints");
  if (floats !== undefined) return hostValue("float", [floats.length], floats);
  if (ints !== undefined) return integers(ints);
  if (scope.states("value_float")) return hostValue("float", [], [scope.number("value_float", 0)]);
  if (scope.states("value_int")) return hostValue("integer", [], [scope.number("value_int", 0)]);
  return scope.fail("it states no tensor, number or list of numbers");
}

/** `ConstantOfShape`: one number repeated. */
export function constantOfShape(scope: NodeScope): Value {
  const value = scope.tensor("value") ?? hostValue("float", [1], [0]);
  if (value.data.length !== 1) scope.fail(`its value has the shape [${value.shape}]; one number is required`);
  const shape = scope.numbers(0);
  return hostValue(value.type, shape, new Float64Array(checkedHostSize(shape)).fill(value.data[0]));
}

/** `Range`: start, start + step, ... below the limit. */
export function range(scope: NodeScope): Value {
  const [start, limit, step] = [0, 1, 2].map((index) => scope.single(index));
  const count = Math.max(0, Math.ceil((limit - start) / step));
  checkedHostSize([count]);
  return hostValue(scope.host(0).type, [count], Array.from({ length: count }, (_, i) => start + i * step));
}

/** `Identity`. */
export function identity(scope: NodeScope): Value {
  return scope.value(0);
}

/** `Dropout`, which training here does not use. */
export function dropout(scope: NodeScope): Value {
  scope.ignore("ratio", "seed");
  scope.ignoreInput(1, 2);
  return scope.value(0);
}

/** `onnx.TensorProto.DataType` of what `Cast` makes. */
const CAST_TYPES: Readonly<Record<HostType, readonly number[]>> = {
  float: FLOAT_TYPES,
  boolean: [9],
  integer: [2, 3, 4, 5, 6, 7, 12, 13],
};

/** `Cast`: to an integer, a boolean or a float. */
export function cast(scope: NodeScope): Value {
  const to = scope.number("to");
  const value = scope.value(0);
  const type = (Object.keys(CAST_TYPES) as HostType[]).find((name) => CAST_TYPES[name].includes(to)) ??
    scope.fail(`it makes ONNX type ${to}; a type of numbers is required`);
  if (value.place === "device") {
    return type === "float" ? value : scope.fail(`it makes a tensor of images or weights ${type}; only floats train`);
  }
  const convert = { float: (x: number) => x, boolean: (x: number) => x === 0 ? 0 : 1, integer: Math.trunc }[type];
  return hostValue(type, value.shape, value.data.map(convert));
}

/** `Shape`: sizes of axes. */
export function shape(scope: NodeScope): Value {
  const sizes = scope.value(0).shape;
  const end = scope.states("end") ? scope.number("end", 0) : undefined;
  return integers(sizes.slice(scope.number("start", 0), end));
}

/** `Size`: number of elements. */
export function size(scope: NodeScope): Value {
  return hostValue("integer", [], [scope.value(0).shape.reduce((a, b) => a * b, 1)]);
}
