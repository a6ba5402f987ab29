/**
 * The order of axes in memory: free where a value's own order serves, a copy where an operation needs another.
 *
 * @module
 */

import { transpose } from "../ops/movement.ts";
import type { Tensor } from "../ops/operation.ts";
import { reshape } from "../ops/reshape.ts";
import { sizeOf } from "../tensor.ts";
import type { NodeScope } from "./scope.ts";
import { type DeviceValue, identityOrder } from "./value.ts";

/** The engine's order of an image [N, C, H, W]. */
export const IMAGE_ORDER: readonly number[] = [0, 2, 3, 1];
/** The engine's order of a convolution's weight [O, I, KH, KW]. */
export const WEIGHT_ORDER: readonly number[] = [2, 3, 1, 0];

/** A value whose axes lie in memory as given. */
export function deviceValue(tensor: Tensor, shape: readonly number[], order?: readonly number[]): DeviceValue {
  return { place: "device", tensor, shape, order: order ?? identityOrder(shape.length) };
}

/** A value from a tensor whose shape is ONNX's in memory order. */
export function inOrder(tensor: Tensor, order: readonly number[]): DeviceValue {
  const shape = order.map((_, axis) => tensor.shape[order.indexOf(axis)]);
  return { place: "device", tensor, shape, order };
}

/** Whether elements lie alike in both orders: axes of size 1 do not count. */
function sameMemory(shape: readonly number[], a: readonly number[], b: readonly number[]): boolean {
  const wide = (order: readonly number[]) => order.filter((axis) => shape[axis] !== 1).join();
  return wide(a) === wide(b);
}

/** The same elements in another shape. */
export function view(scope: NodeScope, tensor: Tensor, shape: readonly number[]): Tensor {
  return tensor.shape.join() === shape.join() ? tensor : scope.apply(reshape(`${scope.name} view`, tensor, shape));
}

/** A tensor with a value's axes in the given order, one axis of the tensor to each. */
export function arranged(scope: NodeScope, value: DeviceValue, order: readonly number[]): Tensor {
  if (value.shape.length !== order.length) {
    scope.fail(`an operand has the shape [${value.shape}]; one of ${order.length} axes is required`);
  }
  const sizes = (axes: readonly number[]) => axes.map((axis) => value.shape[axis]);
  if (sameMemory(value.shape, value.order, order)) return view(scope, value.tensor, sizes(order));
  const input = view(scope, value.tensor, sizes(value.order));
  return scope.apply(transpose(`${scope.name} order`, input, order.map((axis) => value.order.indexOf(axis))));
}

/** A tensor with a value's axes in ONNX's order. */
export function plain(scope: NodeScope, value: DeviceValue): Tensor {
  return arranged(scope, value, identityOrder(value.shape.length));
}

/** An image [N, C, H, W] as the engine holds it: [N, H, W, C]. */
export function image(scope: NodeScope, value: DeviceValue): Tensor {
  if (value.shape.length !== 4) {
    scope.fail(`its input has the shape [${value.shape}]; images [N, C, H, W] are required`);
  }
  return arranged(scope, value, IMAGE_ORDER);
}

/** A value in the given order of memory, copied where it must be. */
export function reordered(scope: NodeScope, value: DeviceValue, order: readonly number[]): DeviceValue {
  if (sameMemory(value.shape, value.order, order)) return { ...value, order };
  return { ...value, tensor: arranged(scope, value, order), order };
}

/** Permuted axes: free. */
export function transposed(value: DeviceValue, permutation: readonly number[]): DeviceValue {
  return {
    ...value,
    shape: permutation.map((axis) => value.shape[axis]),
    order: value.order.map((axis) => permutation.indexOf(axis)),
  };
}

/** Axes before and after a reshape that hold the same elements. */
interface AxisGroup {
  readonly from: number[];
  readonly to: number[];
}

/** The finest groups of neighbouring axes whose sizes have equal products. */
function matchAxes(from: readonly number[], to: readonly number[]): AxisGroup[] {
  const groups: AxisGroup[] = [];
  let i = 0, j = 0;
  while (i < from.length && j < to.length) {
    const group: AxisGroup = { from: [i], to: [j] };
    let a = from[i++], b = to[j++];
    while (a !== b) {
      if (a < b) {
        group.from.push(i);
        a *= from[i++];
      } else {
        group.to.push(j);
        b *= to[j++];
      }
    }
    groups.push(group);
  }
  // What is left has size 1.
  if (groups.length === 0) groups.push({ from: [], to: [] });
  const last = groups[groups.length - 1];
  while (i < from.length) last.from.push(i++);
  while (j < to.length) last.to.push(j++);
  return groups;
}

/**
 * The elements in ONNX's order under another shape. Groups of axes keep their place in memory; only where the axes of
 * one group are merged although they do not lie side by side is anything copied.
 */
export function reshaped(scope: NodeScope, value: DeviceValue, shape: readonly number[]): DeviceValue {
  if (sizeOf(shape) !== sizeOf(value.shape) || sizeOf(shape) === 0) {
    scope.fail(
      `a tensor of shape [${value.shape}] cannot become [${shape}]; where the file has a fixed batch size, export it ` +
        "with a dynamic one",
    );
  }
  const groups = matchAxes(value.shape, shape);
  const groupOf = value.shape.map((_, axis) => groups.find(({ from }) => from.includes(axis))!);
  const inMemory = new Set(value.order.filter((axis) => value.shape[axis] !== 1).map((axis) => groupOf[axis]));
  const all = [...inMemory, ...groups.filter((group) => !inMemory.has(group))];
  const { tensor } = reordered(scope, value, all.flatMap(({ from }) => from));
  return { place: "device", tensor, shape, order: all.flatMap(({ to }) => to) };
}

/** Values of one shape after broadcasting, all in the order of the largest. */
export function aligned(
  scope: NodeScope,
  values: readonly DeviceValue[],
  rank: number,
): { readonly tensors: readonly Tensor[]; readonly order: readonly number[] } {
  const extended = values.map(({ tensor, shape, order }) => {
    const extra = rank - shape.length;
    const ones = identityOrder(extra);
    return deviceValue(tensor, [...ones.map(() => 1), ...shape], [...ones, ...order.map((axis) => axis + extra)]);
  });
  const sizes = extended.map(({ shape }) => sizeOf(shape));
  const { order } = extended[sizes.indexOf(Math.max(...sizes))];
  return { tensors: extended.map((value) => arranged(scope, value, order)), order };
}
