/**
 * Convolutions.
 *
 * @module
 */

import { conv2d } from "../../ops/conv2d.ts";
import { convTranspose2d } from "../../ops/conv_transpose2d.ts";
import { pad } from "../../ops/movement.ts";
import type { Tensor } from "../../ops/operation.ts";
import { arranged, image, IMAGE_ORDER, inOrder, WEIGHT_ORDER } from "../arrange.ts";
import type { NodeScope } from "../scope.ts";
import type { Value } from "../value.ts";

/** Amounts before and after each axis: [top, left, bottom, right]. */
export type Padding = readonly [number, number, number, number];

/** The one number that both axes share. */
export function square(scope: NodeScope, name: string, otherwise: number): number {
  const stated = scope.list(name) ?? [otherwise, otherwise], [h, w] = stated;
  if (stated.length !== 2) scope.fail(`its ${name} are [${stated}]; two are required`);
  return h === w ? h : scope.fail(`its ${name} are ${h} and ${w}; equal ones are supported`);
}

/** `pads`. */
function statedPadding(scope: NodeScope): Padding {
  const pads = scope.list("pads") ?? [0, 0, 0, 0];
  return pads.length === 4 ? pads as unknown as Padding : scope.fail(`its pads are [${pads}]; four are required`);
}

/** `pads` or `auto_pad` of a window of kernel [KH, KW] on [N, H, W, C]. */
export function paddingOf(
  scope: NodeScope,
  input: Tensor,
  kernel: readonly number[],
  stride: number,
  dilation: number,
): Padding {
  const stated = statedPadding(scope);
  const auto = scope.string("auto_pad", "NOTSET");
  if (auto === "NOTSET") return stated;
  if (auto === "VALID") return [0, 0, 0, 0];
  const total = kernel.map((k, axis) => {
    const size = input.shape[1 + axis];
    return Math.max(0, (Math.ceil(size / stride) - 1) * stride + dilation * (k - 1) + 1 - size);
  });
  const half = auto === "SAME_UPPER" ? Math.floor : auto === "SAME_LOWER" ? Math.ceil : undefined;
  if (half === undefined) return scope.fail(`its auto_pad is ${auto}`);
  const before = total.map((n) => half(n / 2));
  return [before[0], before[1], total[0] - before[0], total[1] - before[1]];
}

/** Pads, with zeros unless given, by what is not the same on all four sides; the rest is left to the operation. */
export function padUneven(
  scope: NodeScope,
  input: Tensor,
  padding: Padding,
  value = 0,
): { input: Tensor; padding: number } {
  const same = Math.min(...padding);
  const [top, left, bottom, right] = padding.map((n) => n - same);
  if (top + left + bottom + right === 0) return { input, padding: same };
  const amounts = { before: [0, top, left, 0], after: [0, bottom, right, 0], value };
  return { input: scope.apply(pad(`${scope.name} padding`, input, amounts)), padding: same };
}

/** A kernel's weight as the engine holds it; `kernel_shape`, where stated, must be its own. */
function kernelOf(scope: NodeScope): Tensor {
  const value = scope.device(1), weight = arranged(scope, value, WEIGHT_ORDER);
  const own = value.shape.slice(2), stated = scope.list("kernel_shape") ?? own;
  if (stated.join() === own.join()) return weight;
  return scope.fail(`its kernel_shape is [${stated}], but its weight has the shape [${value.shape}]`);
}

/** `Conv` in two dimensions. */
export function conv(scope: NodeScope): Value {
  const weight = kernelOf(scope);
  const stride = square(scope, "strides", 1), dilation = square(scope, "dilations", 1);
  const groups = scope.number("group", 1);
  const images = image(scope, scope.device(0));
  const stated = paddingOf(scope, images, weight.shape, stride, dilation);
  const { input, padding } = padUneven(scope, images, stated);
  const bias = scope.has(2) ? scope.device(2).tensor : undefined;
  const output = scope.apply(conv2d(scope.name, input, weight, { stride, padding, dilation, groups, bias }));
  return inOrder(output, IMAGE_ORDER);
}

/** `ConvTranspose` in two dimensions. */
export function convTranspose(scope: NodeScope): Value {
  const weight = kernelOf(scope);
  const stride = square(scope, "strides", 1), dilation = square(scope, "dilations", 1);
  const outputPadding = square(scope, "output_padding", 0), groups = scope.number("group", 1);
  const auto = scope.string("auto_pad", "NOTSET");
  if (auto !== "NOTSET" && auto !== "VALID") scope.fail(`its auto_pad is ${auto}`);
  const padding = statedPadding(scope);
  if (padding.some((n) => n !== padding[0])) scope.fail(`its padding is [${padding}]; equal sides are supported`);
  const options = { stride, padding: padding[0], outputPadding, dilation, groups };
  const bias = scope.has(2) ? scope.device(2).tensor : undefined;
  const input = image(scope, scope.device(0));
  return inOrder(scope.apply(convTranspose2d(scope.name, input, weight, { ...options, bias })), IMAGE_ORDER);
}
