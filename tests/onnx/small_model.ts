/**
 * A classifier of a few nodes, written as each opset has them and with its weights stored in any way.
 *
 * @module
 */

import { narrowFloat16 } from "../../lib/checkpoint/half.ts";
import { onnxProto } from "../../lib/deps.ts";
import { hashedValues } from "../reference/hashed.ts";

const { ModelProto } = onnxProto.onnx;

/** A model before it is encoded. */
export type Model = Parameters<typeof ModelProto.encode>[0];
/** Its graph. */
export type ModelGraph = NonNullable<Model["graph"]>;
/** A node of it. */
export type ModelNode = NonNullable<ModelGraph["node"]>[number];
/** A stored tensor of it. */
export type Initialiser = NonNullable<ModelGraph["initializer"]>[number];

/** Side of the images, channels of the convolution, classes. */
export const SIZE = 8, CHANNELS = 4, CLASSES = 5;

/** `TensorProto.DataType`. */
export const FLOAT = 1, INT64 = 7, FLOAT16 = 10, DOUBLE = 11;

/** Name, shape and values of each weight, in PyTorch's order. */
export const WEIGHTS: readonly (readonly [name: string, shape: readonly number[], values: Float32Array])[] = ([
  ["conv.weight", [CHANNELS, 3, 3, 3], 0.5, 0],
  ["conv.bias", [CHANNELS], 0.2, 0],
  ["bn.weight", [CHANNELS], 0.2, 1],
  ["bn.bias", [CHANNELS], 0.2, 0],
  ["bn.running_mean", [CHANNELS], 0.1, 0],
  ["bn.running_var", [CHANNELS], 0.1, 1],
  ["fc.weight", [CLASSES, CHANNELS], 1, 0],
  ["fc.bias", [CLASSES], 1, 0],
] as const).map(([name, shape, scale, offset], index) => [
  name,
  shape,
  hashedValues(7_000_000 + index, shape.reduce((a, b) => a * b, 1), scale, offset),
]);

/** A node; lists become `ints`, whole numbers `i`, others `f`. */
export function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, number | readonly number[]>> = {},
): ModelNode {
  const attribute = Object.entries(attributes).map(([name, value]) => {
    if (typeof value !== "number") return { name, type: 7, ints: [...value] };
    return Number.isInteger(value) ? { name, type: 2, i: value } : { name, type: 1, f: value };
  });
  return { name: `node_${output[0]}`, opType, input: [...input], output: [...output], attribute };
}

/** A stored list of integers. */
export function integers(
  name: string,
  values: readonly number[],
  dims: readonly number[] = [values.length],
): Initialiser {
  return { name, dataType: INT64, dims: [...dims], int64Data: [...values] };
}

/** Bytes of an array. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** How a weight is stored. */
export type Store = (name: string, dims: number[], values: Float32Array) => Initialiser;

/** The ways in which a file may hold the same weights. */
export const STORES: Readonly<Record<"raw" | "typed" | "double" | "half" | "typedHalf", Store>> = {
  raw: (name, dims, values) => ({ name, dims, dataType: FLOAT, rawData: bytesOf(values) }),
  typed: (name, dims, values) => ({ name, dims, dataType: FLOAT, floatData: [...values] }),
  double: (name, dims, values) => ({ name, dims, dataType: DOUBLE, rawData: bytesOf(Float64Array.from(values)) }),
  half: (name, dims, values) => ({ name, dims, dataType: FLOAT16, rawData: bytesOf(narrowFloat16(values)) }),
  typedHalf: (name, dims, values) => ({ name, dims, dataType: FLOAT16, int32Data: [...narrowFloat16(values)] }),
};

/** Operators whose lists are attributes in older opsets and inputs in newer ones. */
function withList(
  opset: number,
  since: number,
  [opType, name]: readonly [string, string],
  input: string,
  output: readonly string[],
  list: readonly number[],
  attributes: Readonly<Record<string, number>> = {},
): { node: ModelNode; tensors: Initialiser[] } {
  if (opset < since) return { node: node(opType, [input], output, { ...attributes, [name]: list }), tensors: [] };
  const tensor = `${output[0]}_${name}`;
  return { node: node(opType, [input, tensor], output, attributes), tensors: [integers(tensor, list)] };
}

/**
 * The classifier: convolution, BatchNorm, ReLU, channels swapped by Split and Concat, axes added and taken away, Dropout,
 * Identity, a mean over rows and columns, a reshape by shape arithmetic, and a linear layer.
 */
export function smallModel(opset = 14, store: Store = STORES.raw): Model & { graph: ModelGraph } {
  const split = withList(opset, 13, ["Split", "split"], "relu", ["first", "second"], [1, CHANNELS - 1], { axis: 1 });
  const unsqueeze = withList(opset, 13, ["Unsqueeze", "axes"], "joined", ["wide"], [0]);
  const squeeze = withList(opset, 13, ["Squeeze", "axes"], "wide", ["narrow"], [0]);
  const mean = withList(opset, 18, ["ReduceMean", "axes"], "same", ["mean"], [2, 3], { keepdims: 1 });
  const batch = withList(opset, 13, ["Unsqueeze", "axes"], "count", ["batch"], [0]);
  const dropout = opset < 12 ? { node: node("Dropout", ["narrow"], ["dropped"], { ratio: 0.5 }), tensors: [] } : {
    node: node("Dropout", ["narrow", "ratio"], ["dropped"]),
    tensors: [STORES.typed("ratio", [], Float32Array.of(0.5))],
  };
  const parts = [split, unsqueeze, squeeze, mean, batch, dropout];
  return {
    irVersion: 7,
    opsetImport: [{ domain: "", version: opset }],
    graph: {
      name: "small",
      input: [imageInput(["batch", 3, SIZE, SIZE])],
      output: [{ name: "logits" }],
      initializer: [
        ...WEIGHTS.map(([name, shape, values]) => store(name, [...shape], values)),
        integers("zero", [0], []),
        integers("rest", [-1]),
        ...parts.flatMap(({ tensors }) => tensors),
      ],
      node: [
        node("Conv", ["images", "conv.weight", "conv.bias"], ["conv"], { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }),
        node("BatchNormalization", ["conv", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"], ["bn"]),
        node("Relu", ["bn"], ["relu"]),
        split.node,
        node("Concat", ["second", "first"], ["joined"], { axis: 1 }),
        unsqueeze.node,
        squeeze.node,
        dropout.node,
        node("Identity", ["dropped"], ["same"]),
        mean.node,
        node("Shape", ["mean"], ["sizes"]),
        node("Gather", ["sizes", "zero"], ["count"]),
        batch.node,
        node("Concat", ["batch", "rest"], ["shape"], { axis: 0 }),
        node("Reshape", ["mean", "shape"], ["features"]),
        node("Gemm", ["features", "fc.weight", "fc.bias"], ["logits"], { transB: 1 }),
      ],
    },
  };
}

/** The input `images`; names stand for dynamic sizes. */
export function imageInput(
  dims: readonly (number | string)[],
  elemType = FLOAT,
): NonNullable<ModelGraph["input"]>[number] {
  const dim = dims.map((n) => typeof n === "number" ? { dimValue: n } : { dimParam: n });
  return { name: "images", type: { tensorType: { elemType, shape: { dim } } } };
}

/** A model as the bytes of its file. */
export function encode(model: Model): Uint8Array<ArrayBuffer> {
  return new Uint8Array(ModelProto.encode(model).finish());
}

/** What the classifier computes in evaluation mode of images [N, 3, SIZE, SIZE], in float64: [N, CLASSES]. */
export function expectedLogits(images: ArrayLike<number>, count: number, rounded = (x: number) => x): number[] {
  const [weight, bias, gamma, beta, mean, variance, matrix, offsets] = WEIGHTS.map(([, , values]) =>
    Array.from(values, rounded)
  );
  const pixel = (n: number, c: number, y: number, x: number) =>
    y < 0 || x < 0 || y >= SIZE || x >= SIZE ? 0 : images[((n * 3 + c) * SIZE + y) * SIZE + x];
  const logits: number[] = [];
  for (let n = 0; n < count; n++) {
    const features = Array.from({ length: CHANNELS }, (_, o) => {
      let sum = 0;
      for (let y = 0; y < SIZE; y++) {
        for (let x = 0; x < SIZE; x++) {
          let value = bias[o];
          for (let tap = 0; tap < 27; tap++) {
            const [c, dy, dx] = [Math.floor(tap / 9), Math.floor(tap / 3) % 3, tap % 3];
            value += weight[o * 27 + tap] * pixel(n, c, y + dy - 1, x + dx - 1);
          }
          sum += Math.max(0, (value - mean[o]) / Math.sqrt(variance[o] + 1e-5) * gamma[o] + beta[o]);
        }
      }
      return sum / (SIZE * SIZE);
    });
    const swapped = [...features.slice(1), features[0]];
    for (let k = 0; k < CLASSES; k++) {
      logits.push(swapped.reduce((sum, feature, i) => sum + feature * matrix[k * CHANNELS + i], offsets[k]));
    }
  }
  return logits;
}
