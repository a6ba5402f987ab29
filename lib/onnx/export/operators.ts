/**
 * The layers of classifiers as ONNX nodes, one function for each kind. Images are [N, C, H, W]; weights have the names
 * that PyTorch gives them under the layer's.
 *
 * @module
 */

import type { NodeList } from "./nodes.ts";

/** A number for both axes of an image, or one for rows and one for columns. */
export type Pair = number | readonly [rows: number, columns: number];

/** Geometry of a window. */
export interface Window {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

/** Geometry of a window that need not be a square. */
export interface PairWindow {
  readonly kernel: Pair;
  readonly stride: number;
  readonly padding: Pair;
}

/** The numbers of both axes. */
export function both(pair: Pair): readonly [rows: number, columns: number] {
  return typeof pair === "number" ? [pair, pair] : pair;
}

/** What BatchNorm adds to the variance, and the weight of a batch in its running statistics, in PyTorch's sense. */
export interface BatchNormSettings {
  readonly eps: number;
  readonly momentum: number;
}

function windowAttributes({ kernel, stride, padding }: PairWindow) {
  return {
    kernel_shape: both(kernel),
    pads: [...both(padding), ...both(padding)],
    strides: [stride, stride],
  };
}

/** `Conv`, without a bias unless one is asked for. */
export function conv(
  nodes: NodeList,
  name: string,
  input: string,
  options: PairWindow & { readonly groups: number; readonly bias?: boolean },
): string {
  const attributes = { dilations: [1, 1], group: options.groups, ...windowAttributes(options) };
  const tensors = [`${name}.weight`, ...options.bias ? [`${name}.bias`] : []];
  return nodes.add("Conv", name, [input, ...tensors], attributes);
}

/** `BatchNormalization` by the running statistics. ONNX's momentum is the weight of what was there before. */
export function batchNormalisation(
  nodes: NodeList,
  name: string,
  input: string,
  { eps, momentum }: BatchNormSettings,
): string {
  const tensors = ["weight", "bias", "running_mean", "running_var"].map((key) => `${name}.${key}`);
  return nodes.add("BatchNormalization", name, [input, ...tensors], { epsilon: eps, momentum: 1 - momentum });
}

/** `Relu`. */
export function relu(nodes: NodeList, name: string, input: string): string {
  return nodes.add("Relu", name, [input]);
}

/** `Add` of equal shapes. */
export function add(nodes: NodeList, name: string, a: string, b: string): string {
  return nodes.add("Add", name, [a, b]);
}

/** `MaxPool`; where `ceil`, windows that begin inside the image count though they end outside. */
export function maxPool(nodes: NodeList, name: string, input: string, window: PairWindow, ceil = false): string {
  return nodes.add("MaxPool", name, [input], { ceil_mode: ceil ? 1 : 0, ...windowAttributes(window) });
}

/** `AveragePool`; zeros around the image count. */
export function averagePool(nodes: NodeList, name: string, input: string, window: PairWindow): string {
  return nodes.add("AveragePool", name, [input], { count_include_pad: 1, ...windowAttributes(window) });
}

/** Every `stride`-th position, by `Slice`, and zero channels on both sides, by `Pad`. */
export function padChannels(
  nodes: NodeList,
  name: string,
  input: string,
  { before, after, stride }: { readonly before: number; readonly after: number; readonly stride: number },
): string {
  const kept = stride === 1 ? input : nodes.add("Slice", `${name}.slice`, [
    input,
    nodes.integers(`${name}.starts`, [0, 0]),
    nodes.integers(`${name}.ends`, [2 ** 31 - 1, 2 ** 31 - 1]),
    nodes.integers(`${name}.axes`, [2, 3]),
    nodes.integers(`${name}.steps`, [stride, stride]),
  ]);
  const pads = nodes.integers(`${name}.pads`, [0, before, 0, 0, 0, after, 0, 0]);
  return nodes.add("Pad", name, [kept, pads], { mode: "constant" });
}

/** `GlobalAveragePool` to features [N, C]. */
export function globalAveragePool(nodes: NodeList, name: string, input: string, output: string): string {
  return nodes.add("Flatten", `${name}.flatten`, [nodes.add("GlobalAveragePool", name, [input])], { axis: 1 }, output);
}

/** `Gemm` with a weight [OUT, IN] and a bias. */
export function gemm(nodes: NodeList, name: string, input: string, output: string): string {
  return nodes.add("Gemm", name, [input, `${name}.weight`, `${name}.bias`], { transB: 1 }, output);
}

/** Images of range 0 to 1 less a mean, over a deviation, each by channel. */
export function normaliseImages(
  nodes: NodeList,
  name: string,
  input: string,
  { mean, std }: { readonly mean: readonly number[]; readonly std: readonly number[] },
): string {
  const channels = (key: string, values: readonly number[]) =>
    nodes.table(`${name}.${key}`, [1, values.length, 1, 1], values);
  const centred = nodes.add("Sub", `${name}.centred`, [input, channels("mean", mean)]);
  return nodes.add("Div", name, [centred, channels("std", std)]);
}
