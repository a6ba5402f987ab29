/**
 * Parts of tensors: slices, splits, rows and padding.
 *
 * @module
 */

import { gather as gatherOperation, gatherTables } from "../../ops/gather.ts";
import { pad as padOperation, slice as sliceOperation, type SliceRange } from "../../ops/movement.ts";
import { stridesOf } from "../../ops/strides.ts";
import { sizeOf } from "../../tensor.ts";
import { inOrder, reshaped, view } from "../arrange.ts";
import { positions, strided } from "../host.ts";
import type { NodeScope } from "../scope.ts";
import { checkedHostSize, type DeviceValue, type HostValue, hostValue, identityOrder, type Value } from "../value.ts";

/** Most lines of an axis and places of them in a table: the host lists both. */
const MAX_LINES = 2 ** 22;

/** A range of one axis with its bounds inside. */
interface Bounds {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** Clamps as numpy does. */
function bounds(size: number, axis: number, start: number, end: number, step: number): Bounds {
  const low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const clamp = (n: number) => Math.min(Math.max(n < 0 ? n + size : n, low), high);
  return { axis, start: clamp(start), end: clamp(end), step };
}

function length({ start, end, step }: Bounds): number {
  return Math.max(0, Math.ceil((end - start) / step));
}

function sliced(scope: NodeScope, value: Value, ranges: readonly Bounds[]): Value {
  const shape = value.shape.map((n, axis) => {
    const range = ranges.find((candidate) => candidate.axis === axis);
    return range === undefined ? n : length(range);
  });
  if (value.place === "host") {
    const strides = stridesOf(value.shape);
    const offset = ranges.reduce((sum, { axis, start }) => sum + start * strides[axis], 0);
    const steps = strides.map((stride, axis) => stride * (ranges.find((range) => range.axis === axis)?.step ?? 1));
    return strided(value, shape, steps, shape.includes(0) ? 0 : offset);
  }
  if (shape.includes(0)) scope.fail(`it leaves nothing of a tensor of shape [${value.shape}]`);
  if (shape.join() === value.shape.join() && ranges.every(({ step }) => step === 1)) return value;
  const physical = ranges.map(({ axis, start, end, step }): SliceRange => ({
    axis: value.order.indexOf(axis),
    start,
    // Before the first element: numpy's negative ends count from the last.
    end: end < 0 ? -Number.MAX_SAFE_INTEGER : end,
    step,
  }));
  const input = view(scope, value.tensor, value.order.map((axis) => value.shape[axis]));
  return inOrder(scope.apply(sliceOperation(scope.name, input, physical)), value.order);
}

/** `Slice` with constant bounds. */
export function slice(scope: NodeScope): Value {
  const value = scope.value(0);
  const starts = scope.numbers(1), ends = scope.numbers(2);
  const axes = scope.has(3) ? scope.numbers(3) : starts.map((_, axis) => axis);
  const steps = scope.has(4) ? scope.numbers(4) : starts.map(() => 1);
  if ([ends, axes, steps].some((list) => list.length !== starts.length)) {
    scope.fail(
      `it states starts [${starts}], ends [${ends}], axes [${axes}] and steps [${steps}]; as many of each are required`,
    );
  }
  const ranges = axes.map((given, i) => {
    const axis = scope.axis(given, value.shape.length);
    if (axes.some((other, j) => j < i && scope.axis(other, value.shape.length) === axis)) {
      scope.fail(`its axes [${axes}] name one axis twice`);
    }
    if (steps[i] === 0) scope.fail("its step is 0");
    return bounds(value.shape[axis], axis, starts[i], ends[i], steps[i]);
  });
  return sliced(scope, value, ranges);
}

/** `Split` into parts along an axis. */
export function split(scope: NodeScope): Value[] {
  const value = scope.value(0);
  const axis = scope.axis(scope.number("axis", 0), value.shape.length);
  const parts = scope.node.outputs.length, size = value.shape[axis];
  const stated = scope.number("num_outputs", parts);
  const even = Math.ceil(size / stated);
  const sizes = scope.listOrInput("split", 1) ??
    Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(even, size - i * even)));
  if (sizes.length !== parts || sizes.reduce((a, b) => a + b, 0) !== size) {
    scope.fail(`parts of ${sizes} do not make up axis ${axis} of [${value.shape}]`);
  }
  let start = 0;
  return sizes.map((n) => sliced(scope, value, [{ axis, start, end: start += n, step: 1 }]));
}

/** Indices counted from the start. */
function rowsOf(scope: NodeScope, { data }: HostValue, size: number): number[] {
  return Array.from(data, (index) => {
    if (!Number.isInteger(index) || index < -size || index >= size) {
      scope.fail(`its index ${index} is not below ${size}`);
    }
    return index < 0 ? index + size : index;
  });
}

/** `Gather`: lines of an axis by constant indices. */
export function gather(scope: NodeScope): Value {
  const value = scope.value(0), indices = scope.host(1);
  const axis = scope.axis(scope.number("axis", 0), value.shape.length);
  const rows = rowsOf(scope, indices, value.shape[axis]);
  const shape = [...value.shape.slice(0, axis), ...indices.shape, ...value.shape.slice(axis + 1)];
  if (value.place === "host") return gatherHost(value, axis, rows, shape);
  if (rows.length === 1) {
    const part = sliced(scope, value, [{ axis, start: rows[0], end: rows[0] + 1, step: 1 }]) as DeviceValue;
    return reshaped(scope, part, shape);
  }
  return reshaped(scope, gatherLines(scope, value, axis, rows), shape);
}

function gatherLines(scope: NodeScope, value: DeviceValue, axis: number, rows: readonly number[]): DeviceValue {
  if (rows.length === 0) scope.fail("it gathers nothing");
  const size = value.shape[axis];
  if (rows.length + size > MAX_LINES) {
    scope.fail(`it gathers ${rows.length} lines of an axis of ${size}; at most ${MAX_LINES} together are possible`);
  }
  const { indices, places } = gatherTables(rows, size);
  const tables = {
    indices: scope.constant(`${scope.name} indices`, [indices.length], indices),
    places: scope.constant(`${scope.name} places`, [places.length], places),
  };
  const input = view(scope, value.tensor, value.order.map((other) => value.shape[other]));
  return inOrder(scope.apply(gatherOperation(scope.name, input, value.order.indexOf(axis), tables)), value.order);
}

function gatherHost(value: HostValue, axis: number, rows: readonly number[], shape: readonly number[]): HostValue {
  const inner = sizeOf(value.shape.slice(axis + 1)), outer = sizeOf(value.shape.slice(0, axis));
  const block = inner * value.shape[axis];
  const data = new Float64Array(checkedHostSize(shape));
  for (let o = 0; o < outer && data.length > 0; o++) {
    rows.forEach((row, i) => {
      const from = o * block + row * inner;
      data.set(value.data.subarray(from, from + inner), (o * rows.length + i) * inner);
    });
  }
  return hostValue(value.type, shape, data);
}

/** `ScatterND` of constants: parts of a copy are replaced. */
export function scatterND(scope: NodeScope): Value {
  const value = scope.host(0), indices = scope.host(1), updates = scope.host(2);
  if (scope.string("reduction", "none") !== "none") scope.fail("it reduces; only replacement is supported");
  const depth = indices.shape.at(-1) ?? 0;
  const strides = stridesOf(value.shape), block = sizeOf(value.shape.slice(depth));
  const replaced = [...indices.shape.slice(0, -1), ...value.shape.slice(depth)];
  if (depth < 1 || depth > value.shape.length || updates.shape.join() !== replaced.join()) {
    scope.fail(`it puts [${updates.shape}] at [${indices.shape}] of [${value.shape}]; [${replaced}] is required`);
  }
  const data = value.data.slice();
  for (let row = 0; row < indices.data.length / depth; row++) {
    const offset = Array.from({ length: depth }, (_, axis) => {
      const index = indices.data[row * depth + axis], size = value.shape[axis];
      if (!(index >= -size && index < size)) scope.fail(`its index ${index} is not below ${size}`);
      return (index < 0 ? index + size : index) * strides[axis];
    }).reduce((a, b) => a + b, 0);
    data.set(updates.data.subarray(row * block, (row + 1) * block), offset);
  }
  return hostValue(value.type, value.shape, data);
}

/** `Pad` with a constant; negative amounts crop. */
export function pad(scope: NodeScope): Value {
  const mode = scope.string("mode", "constant");
  if (mode !== "constant") scope.fail(`its mode is ${mode}; constant is supported`);
  const value = scope.value(0), rank = value.shape.length;
  const amounts = scope.numbers(1), fill = scope.has(2) ? scope.single(2) : 0;
  const axes = scope.has(3) ? scope.numbers(3).map((axis) => scope.axis(axis, rank)) : identityOrder(rank);
  if (amounts.length !== 2 * axes.length || new Set(axes).size !== axes.length) {
    scope.fail(`it states ${amounts.length} amounts for the axes ${axes}; two for each axis are required`);
  }
  const of = (half: number) =>
    identityOrder(rank).map((axis) => axes.includes(axis) ? amounts[axes.indexOf(axis) + half * axes.length] : 0);
  const [before, after] = [of(0), of(1)];
  const crop = identityOrder(rank).filter((axis) => before[axis] < 0 || after[axis] < 0)
    .map((axis) => ({
      axis,
      start: Math.max(0, -before[axis]),
      end: value.shape[axis] + Math.min(0, after[axis]),
      step: 1,
    }));
  const inside = crop.length > 0 ? sliced(scope, value, crop) : value;
  const [low, high] = [before, after].map((side) => side.map((n) => Math.max(0, n)));
  if (inside.place === "host") return padHost(inside, low, high, fill);
  if ([...low, ...high].every((n) => n === 0)) return inside;
  const physical = (side: readonly number[]) => inside.order.map((axis) => side[axis]);
  const input = view(scope, inside.tensor, inside.order.map((axis) => inside.shape[axis]));
  const padding = { before: physical(low), after: physical(high), value: fill };
  return inOrder(scope.apply(padOperation(scope.name, input, padding)), inside.order);
}

function padHost(value: HostValue, before: readonly number[], after: readonly number[], fill: number): HostValue {
  const shape = value.shape.map((n, axis) => before[axis] + n + after[axis]);
  const strides = stridesOf(shape);
  const offset = before.reduce((sum, n, axis) => sum + n * strides[axis], 0);
  const { data } = hostValue(value.type, shape, new Float64Array(checkedHostSize(shape)).fill(fill));
  positions(value.shape, strides, offset).forEach((position, i) => data[position] = value.data[i]);
  return { ...value, shape, data };
}
