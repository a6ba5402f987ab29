/**
 * What each ONNX operator becomes.
 *
 * @module
 */

import { clip, hardSigmoid, leakyRelu, relu } from "./operators/activation.ts";
import { cast, constant, constantOfShape, dropout, identity, range, shape, size } from "./operators/constant.ts";
import { conv, convTranspose } from "./operators/convolution.ts";
import { arithmeticOf, hostOnly, mod, pow, unaryOf, where } from "./operators/elementwise.ts";
import { gather, pad, scatterND, slice, split } from "./operators/indexing.ts";
import { gemm, matmul } from "./operators/matrix.ts";
import { concat, expand, flatten, reshape, squeeze, tile, transpose, unsqueeze } from "./operators/movement.ts";
import { batchNormalisation, layerNormalisation, softmax } from "./operators/normalisation.ts";
import { averagePool, globalAveragePool, maxPool } from "./operators/pooling.ts";
import { reduction } from "./operators/reduction.ts";
import { resize } from "./operators/resize.ts";
import type { NodeScope } from "./scope.ts";
import type { Value } from "./value.ts";

/** Builds a node's outputs. */
export type OperatorBuilder = (scope: NodeScope) => Value | readonly Value[];

/** Builders by operator. Those of comparisons and other integer operators take constants only. */
export const OPERATORS: Readonly<Record<string, OperatorBuilder>> = {
  Add: arithmeticOf("add"),
  And: hostOnly("boolean", (a, b) => a * b),
  AveragePool: averagePool,
  BatchNormalization: batchNormalisation,
  Cast: cast,
  Ceil: hostOnly("same", Math.ceil),
  Clip: clip,
  Concat: concat,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Conv: conv,
  ConvTranspose: convTranspose,
  Div: arithmeticOf("div"),
  Dropout: dropout,
  Equal: hostOnly("boolean", (a, b) => a === b ? 1 : 0),
  Erf: unaryOf({ kind: "erf" }),
  Exp: unaryOf({ kind: "exp" }, Math.exp),
  Expand: expand,
  Flatten: flatten,
  Floor: hostOnly("same", Math.floor),
  Gather: gather,
  Gemm: gemm,
  GlobalAveragePool: globalAveragePool,
  Greater: hostOnly("boolean", (a, b) => a > b ? 1 : 0),
  HardSigmoid: hardSigmoid,
  HardSwish: unaryOf({ kind: "hardSwish" }),
  Identity: identity,
  LayerNormalization: layerNormalisation,
  LeakyRelu: leakyRelu,
  Less: hostOnly("boolean", (a, b) => a < b ? 1 : 0),
  MatMul: matmul,
  Max: hostOnly("same", (...values) => Math.max(...values)),
  MaxPool: maxPool,
  Min: hostOnly("same", (...values) => Math.min(...values)),
  Mod: mod,
  Mul: arithmeticOf("mul"),
  Neg: unaryOf({ kind: "affine", scale: -1, shift: 0 }, (x) => -x),
  Not: hostOnly("boolean", (a) => a === 0 ? 1 : 0),
  Or: hostOnly("boolean", (a, b) => Math.max(a, b)),
  Pad: pad,
  Pow: pow,
  Range: range,
  Reciprocal: unaryOf({ kind: "reciprocal" }, (x) => 1 / x),
  ReduceMean: reduction("mean"),
  ReduceSum: reduction("sum"),
  Relu: relu,
  Reshape: reshape,
  Resize: resize,
  ScatterND: scatterND,
  Shape: shape,
  Sigmoid: unaryOf({ kind: "sigmoid" }),
  Size: size,
  Slice: slice,
  Softmax: softmax,
  Split: split,
  Sqrt: unaryOf({ kind: "sqrt" }, Math.sqrt),
  Squeeze: squeeze,
  Sub: arithmeticOf("sub"),
  Tanh: unaryOf({ kind: "tanh" }, Math.tanh),
  Tile: tile,
  Transpose: transpose,
  Unsqueeze: unsqueeze,
  Where: where,
};
