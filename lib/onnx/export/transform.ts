/**
 * A model's graph changed for export: for inference alone, without its head, with other weights, with normalisation.
 *
 * @module
 */

import { float32Tensor, type HostTensor } from "../../tensor.ts";
import type { Head } from "../head.ts";
import type { ImageNormalisation } from "../image_metadata.ts";
import type { AttributeValue, OnnxModel, OnnxNode } from "../model.ts";
import { sortedNodes } from "../order.ts";
import { FLOAT_TYPES, isFloat } from "../value.ts";
import { NodeList } from "./nodes.ts";
import { normaliseImages } from "./operators.ts";

/** `onnx.TensorProto.DataType` of float32. */
const FLOAT = 1;

/** Names of all values that nodes read. */
export function readersOf(nodes: readonly OnnxNode[]): ReadonlyMap<string, readonly OnnxNode[]> {
  const readers = new Map<string, OnnxNode[]>();
  for (const node of nodes) {
    for (const input of new Set(node.inputs)) readers.set(input, [...readers.get(input) ?? [], node]);
  }
  return readers;
}

/** The model of these nodes: without those that the output does not need, and without tensors that none reads. */
export function pruned(model: OnnxModel): OnnxModel {
  const nodes = sortedNodes(model.nodes, new Set([model.input.name, ...model.initialisers.keys()]), model.output);
  const readers = readersOf(nodes);
  return { ...model, nodes, initialisers: new Map([...model.initialisers].filter(([name]) => readers.has(name))) };
}

/** The same nodes reading other values. */
export function reading(nodes: readonly OnnxNode[], renamed: ReadonlyMap<string, string>): OnnxNode[] {
  return nodes.map((node) => ({ ...node, inputs: node.inputs.map((name) => renamed.get(name) ?? name) }));
}

/** BatchNorm by its running statistics, though the file was exported for training. */
function evaluating(node: OnnxNode): OnnxNode {
  if (node.operator !== "BatchNormalization") return node;
  const attributes = new Map([...node.attributes].filter(([name]) => name !== "training_mode"));
  return { ...node, outputs: node.outputs.slice(0, 1), attributes };
}

/** The model as it computes in evaluation: no dropout, no batch statistics. */
export function forInference(model: OnnxModel): OnnxModel {
  const source = new Map<string, string>();
  // Sorted, so that what a dropout reads is known when it is met.
  for (const { operator, inputs: [input], outputs: [output] } of model.nodes) {
    if (operator === "Dropout") source.set(output, source.get(input) ?? input);
  }
  const nodes = reading(model.nodes, source).map(evaluating);
  return pruned({ ...model, nodes, output: source.get(model.output) ?? model.output });
}

/** A tensor of floats as float32; others as they are. */
function widened(tensor: HostTensor): HostTensor {
  if (!isFloat(tensor) || tensor.dtype === "float32") return tensor;
  return float32Tensor(tensor.shape, Float32Array.from(tensor.data as Float32Array | Float64Array));
}

/** The model with all of its floats in float32, as it is computed here: weights, constants, and what is cast to. */
export function inFloat32(model: OnnxModel): OnnxModel {
  const attribute = (value: AttributeValue) => typeof value === "object" && "data" in value ? widened(value) : value;
  const nodes = model.nodes.map((node) => {
    const attributes = new Map([...node.attributes].map(([name, value]) => [name, attribute(value)]));
    const isCast = node.operator === "Cast" && FLOAT_TYPES.includes(Number(attributes.get("to")));
    return { ...node, attributes: isCast ? attributes.set("to", FLOAT) : attributes };
  });
  const initialisers = new Map([...model.initialisers].map(([name, tensor]) => [name, widened(tensor)]));
  return { ...model, nodes, initialisers };
}

/** The model up to what its head reads: the features. */
export function withoutHead(model: OnnxModel, { node }: Head): OnnxModel {
  return pruned({ ...model, output: node.inputs[0] });
}

/**
 * The model with other tensors under the same names.
 *
 * @throws TypeError where the model lacks one, or has one that is not of float32
 */
export function withTensors(model: OnnxModel, tensors: ReadonlyMap<string, HostTensor>): OnnxModel {
  const initialisers = new Map(model.initialisers);
  for (const [name, tensor] of tensors) {
    const { dtype } = initialisers.get(name) ?? {};
    if (dtype !== tensor.dtype) {
      throw new TypeError(
        `Cannot put the weight ${name} of type ${tensor.dtype} into ${model.file}: its own is ` +
          `${dtype ?? "missing"}, and ${tensor.dtype} is required`,
      );
    }
    initialisers.set(name, tensor);
  }
  return { ...model, initialisers };
}

/** A beginning of names that none of the model's values has. */
function freeName({ nodes, initialisers, input }: OnnxModel, wanted: string): string {
  const taken = [input.name, ...initialisers.keys(), ...nodes.flatMap(({ outputs }) => outputs)];
  let free = wanted;
  while (taken.some((name) => name.startsWith(free))) free += "_";
  return free;
}

/** The model for images of range 0 to 1, which it normalises itself. */
export function withNormalisation(model: OnnxModel, normalisation: ImageNormalisation): OnnxModel {
  const list = new NodeList(), { name } = model.input;
  const normalised = normaliseImages(list, freeName(model, "normalised_images"), name, normalisation);
  const nodes = [...list.nodes, ...reading(model.nodes, new Map([[name, normalised]]))];
  return pruned({ ...model, nodes, normalisation });
}
