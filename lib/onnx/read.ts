/**
 * ONNX files (opsets 11 to 18) as {@linkcode OnnxModel}s.
 *
 * @module
 */

import { type Budget, budgetFor } from "../checkpoint/budget.ts";
import { foreign } from "../checkpoint/context.ts";
import { type ExternalReader, readExternals } from "../checkpoint/onnx_external.ts";
import { type ExternalFiles, isMadeUp, readOnnxTensor } from "../checkpoint/onnx_tensor.ts";
import { onnxProto } from "../deps.ts";
import { FormatError } from "../errors.ts";
import type { HostTensor } from "../tensor.ts";
import type { AttributeValue, OnnxModel, OnnxNode } from "./model.ts";
import { ownNormalisation } from "./image_metadata.ts";
import { sortedNodes } from "./order.ts";
import {
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  numberOf,
  type ValueInfoProto,
} from "./schema.ts";
import { FLOAT_TYPES } from "./value.ts";

const OLDEST_OPSET = 11;
const NEWEST_OPSET = 18;
/** Most nodes, and most initialisers: classifiers have some thousands at most. */
const MAX_COUNT = 2 ** 15;
/** Domains that mean ONNX's own operators. */
const DEFAULT_DOMAINS: readonly string[] = ["", "ai.onnx"];

/** `onnx.AttributeProto.AttributeType`, as far as classifiers use it. */
const FLOAT = 1, INT = 2, STRING = 3, TENSOR = 4, FLOATS = 6, INTS = 7;

/** A name of the file; they stand in messages, so none may move the cursor or begin a line. */
function named(text: string | null | undefined): string {
  // deno-lint-ignore no-control-regex
  if (!/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text ?? "")) return text ?? "";
  throw new FormatError(`it holds the name ${JSON.stringify(text)}; names without control characters are required`);
}

function attributeOf(proto: AttributeProto, what: string, budget: Budget): AttributeValue {
  const type = proto.type ?? 0;
  switch (type) {
    case FLOAT:
      return proto.f ?? 0;
    case INT:
      return numberOf(proto.i);
    case STRING:
      return new TextDecoder().decode(proto.s ?? new Uint8Array(0));
    case TENSOR:
      return readOnnxTensor(proto.t ?? {}, budget, undefined, what);
    case FLOATS:
      return proto.floats ?? [];
    case INTS:
      return (proto.ints ?? []).map(numberOf);
    default:
      // Refused where it is read: first comes whether the operator is one of those that are supported, and needed at all.
      return { unread: type };
  }
}

function nodeOf(proto: NodeProto, budget: Budget): OnnxNode {
  const inputs = (proto.input ?? []).map(named), outputs = (proto.output ?? []).map(named);
  const domain = named(proto.domain), operatorName = named(proto.opType);
  const operator = DEFAULT_DOMAINS.includes(domain) ? operatorName : `${domain}.${operatorName}`;
  const name = named(proto.name) || outputs[0] || "without a name";
  const where = `the ${operator} node ${name}`;
  const attributes = new Map<string, AttributeValue>();
  for (const attribute of proto.attribute ?? []) {
    const key = named(attribute.name);
    if (attributes.has(key)) throw new FormatError(`${where} has two attributes ${key}`);
    attributes.set(key, attributeOf(attribute, `the attribute ${key} of ${where}`, budget));
  }
  return { name, operator, inputs, outputs, attributes };
}

function opsetOf({ opsetImport }: ModelProto): number {
  const opset = numberOf(opsetImport?.find(({ domain }) => DEFAULT_DOMAINS.includes(domain ?? ""))?.version);
  if (opset < OLDEST_OPSET || opset > NEWEST_OPSET) {
    throw new FormatError(`it is of opset ${opset}; opsets ${OLDEST_OPSET} to ${NEWEST_OPSET} can be read`);
  }
  return opset;
}

/** The one input that is not stored in the file: images. */
function inputOf(inputs: readonly ValueInfoProto[], stored: ReadonlySet<string>): OnnxModel["input"] {
  const given = inputs.filter(({ name }) => !stored.has(name ?? ""));
  if (given.length !== 1) {
    const names = given.map(({ name }) => named(name)).join(", ") || "none";
    throw new FormatError(`its inputs are ${names}; one, of images, is required`);
  }
  const [{ type }] = given, name = named(given[0].name);
  const elements = type?.tensorType?.elemType ?? 0;
  if (elements !== 0 && !FLOAT_TYPES.includes(elements)) {
    throw new FormatError(`its input ${name} is of ONNX type ${elements}; floating-point images are required`);
  }
  const dims = type?.tensorType?.shape?.dim ?? [];
  const shape = dims.map(({ dimValue }) => dimValue ? numberOf(dimValue) : undefined);
  if (shape.length !== 4 || (shape[1] !== undefined && shape[1] !== 3)) {
    const found = shape.map((n) => n ?? "?").join(", ");
    throw new FormatError(`its input ${name} has the shape [${found}]; images [N, 3, H, W] are required`);
  }
  for (const size of shape) {
    if (size !== undefined && !(Number.isInteger(size) && size >= 1 && size <= 2 ** 16)) {
      throw new FormatError(`its input ${name} has a size of ${size}; 1 to 65536 is required`);
    }
  }
  return { name, shape };
}

function initialisersOf(graph: GraphProto, budget: Budget, files: ExternalFiles) {
  if ((graph.sparseInitializer ?? []).length > 0) throw new FormatError("it holds sparse initialisers");
  const initialisers = new Map<string, HostTensor>();
  for (const tensor of graph.initializer ?? []) {
    const name = named(tensor.name);
    if (initialisers.has(name)) throw new FormatError(`it holds two initialisers named ${name}`);
    initialisers.set(name, readOnnxTensor(tensor, budget, files));
  }
  return initialisers;
}

/**
 * PyTorch's exporter stores equal tensors once and copies them to their other names by `Identity`: two fresh BatchNorms.
 * They are different parameters, so each gets an initialiser of its own.
 */
function separateCopies(nodes: readonly OnnxNode[], initialisers: Map<string, HostTensor>): OnnxNode[] {
  return nodes.filter(({ operator, inputs, outputs }) => {
    const tensor = operator === "Identity" ? initialisers.get(inputs[0]) : undefined;
    if (tensor === undefined || isMadeUp(outputs[0]) || initialisers.has(outputs[0])) return true;
    initialisers.set(outputs[0], tensor);
    return false;
  });
}

/** Outputs of a softmax are no logits: the classifier ends before it. */
function logitsOf(nodes: readonly OnnxNode[], output: string): string {
  const last = nodes.find(({ outputs }) => outputs.includes(output));
  return last?.operator === "Softmax" || last?.operator === "LogSoftmax" ? last.inputs[0] : output;
}

function parse(proto: ModelProto, file: string, budget: Budget, files: ExternalFiles): OnnxModel {
  const opset = opsetOf(proto);
  const graph = proto.graph;
  if (!graph) throw new FormatError("it is an ONNX model without a graph");
  for (const [what, found] of [["nodes", graph.node], ["initialisers", graph.initializer]] as const) {
    const count = found?.length ?? 0;
    if (count > MAX_COUNT) throw new FormatError(`it has ${count} ${what}; at most ${MAX_COUNT} can be imported`);
  }
  const initialisers = initialisersOf(graph, budget, files);
  const input = inputOf(graph.input ?? [], new Set(initialisers.keys()));
  const nodes = separateCopies((graph.node ?? []).map((node) => nodeOf(node, budget)), initialisers);
  const [first = "", ...furtherOutputs] = (graph.output ?? []).map(({ name }) => named(name));
  const output = logitsOf(nodes, first);
  const sorted = sortedNodes(nodes, new Set([input.name, ...initialisers.keys()]), output);
  const facts = new Map((proto.metadataProps ?? []).map(({ key, value }) => [key ?? "", value ?? ""]));
  const normalisation = ownNormalisation(facts);
  return { file, opset, nodes: sorted, initialisers, input, output, furtherOutputs, normalisation };
}

/**
 * The model in `bytes`; `name` stands in errors. Tensors are views of the bytes where possible.
 *
 * @param external reads the files beside the model that hold its larger tensors
 * @throws FormatError on damaged or hostile bytes, another opset, inputs that are no images, cycles, missing values
 */
export async function readOnnxModel(bytes: Uint8Array, name: string, external?: ExternalReader): Promise<OnnxModel> {
  try {
    const proto = foreign(
      "it is not an ONNX model, or it is cut short",
      () => onnxProto.onnx.ModelProto.decode(bytes) as unknown as ModelProto,
    );
    const files = await readExternals(proto.graph?.initializer ?? [], external);
    const total = [...files.values()].reduce((sum, { length }) => sum + length, bytes.length);
    return parse(proto, name, budgetFor(total), files);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`Cannot import ${name}: ${error.message}`, { cause: error });
  }
}
