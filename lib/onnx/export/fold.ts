/**
 * BatchNorm folded into the convolutions before it: in evaluation both are linear, so that one does the work of two.
 *
 * @module
 */

import { sizeOf, type StateDict } from "../../tensor.ts";
import { describe, type OnnxModel, type OnnxNode } from "../model.ts";
import { isFloat } from "../value.ts";
import { pruned, readersOf } from "./transform.ts";

/** A normalisation and the convolution that it alone reads. */
interface Pair {
  readonly conv: OnnxNode;
  readonly norm: OnnxNode;
}

/** Elements of a stored tensor; `undefined` where a name is none. */
function stored({ initialisers }: OnnxModel, name: string | undefined): ArrayLike<number> | undefined {
  return initialisers.get(name ?? "")?.data as ArrayLike<number> | undefined;
}

/** The pairs whose tensors are all stored, as floats. */
function pairsOf(model: OnnxModel): Pair[] {
  const producer = new Map(model.nodes.map((node) => [node.outputs[0], node]));
  const readers = readersOf(model.nodes);
  return model.nodes.flatMap((norm) => {
    const conv = producer.get(norm.inputs[0]);
    if (norm.operator !== "BatchNormalization" || conv?.operator !== "Conv") return [];
    const alone = readers.get(conv.outputs[0])?.length === 1 && conv.outputs[0] !== model.output;
    const needed = [conv.inputs[1], ...conv.inputs[2] ? [conv.inputs[2]] : [], ...norm.inputs.slice(1)];
    const areWeights = needed.every((name) => model.initialisers.has(name) && isFloat(model.initialisers.get(name)!));
    return alone && areWeights ? [{ conv, norm }] : [];
  });
}

/** Scale and shift of each channel, in double precision. */
function affineOf(model: OnnxModel, { norm }: Pair): { scale: Float64Array; shift: Float64Array } {
  const [weight, bias, mean, variance] = norm.inputs.slice(1).map((name) => stored(model, name)!);
  const eps = Math.fround(Number(norm.attributes.get("epsilon") ?? 1e-5));
  const scale = Float64Array.from(weight, (value, c) => value / Math.sqrt(variance[c] + eps));
  const bad = scale.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new RangeError(
      `Cannot fold ${describe(norm)} of ${model.file}: the variance of channel ${bad} is ${variance[bad]}`,
    );
  }
  return { scale, shift: scale.map((factor, c) => bias[c] - mean[c] * factor) };
}

/** A free name that says whose weight it was, and by its beginning that it is none of PyTorch's. */
function foldedName(taken: ReadonlyMap<string, unknown>, weight: string, key: string): string {
  let free = `onnx::${weight.replace(/^onnx::/, "").replace(/\.weight$/, "")}.${key}`;
  while (taken.has(free)) free += "_";
  return free;
}

/** Adds a pair's folded tensors and returns the convolution that reads them. */
function folded(model: OnnxModel, pair: Pair, tensors: StateDict): OnnxNode {
  const { conv, norm } = pair, [input, weightName, biasName] = conv.inputs;
  const { shape } = model.initialisers.get(weightName)!;
  const weight = stored(model, weightName)!, bias = stored(model, biasName);
  const { scale, shift } = affineOf(model, pair);
  const row = sizeOf(shape.slice(1));
  const names = ["weight", "bias"].map((key) => foldedName(tensors, weightName, key));
  tensors.set(names[0], {
    dtype: "float32",
    shape,
    data: Float32Array.from(weight, (value, i) => value * scale[Math.floor(i / row)]),
  });
  tensors.set(names[1], {
    dtype: "float32",
    shape: [shape[0]],
    data: Float32Array.from(shift, (value, c) => value + (bias?.[c] ?? 0) * scale[c]),
  });
  return { ...conv, inputs: [input, ...names], outputs: norm.outputs };
}

/**
 * The same function with every BatchNorm that follows a convolution folded into it, exact up to the rounding of the
 * products to float32. One that follows anything else stays. Folded weights get names of their own.
 *
 * @throws RangeError where a running variance is negative or not finite
 */
export function foldBatchNorm(model: OnnxModel): OnnxModel {
  const tensors: StateDict = new Map(model.initialisers);
  const replaced = new Map<OnnxNode, OnnxNode | undefined>();
  for (const pair of pairsOf(model)) {
    replaced.set(pair.conv, folded(model, pair, tensors));
    replaced.set(pair.norm, undefined);
  }
  const nodes = model.nodes.flatMap((node) => replaced.has(node) ? replaced.get(node) ?? [] : node);
  return pruned({ ...model, nodes, initialisers: tensors });
}
