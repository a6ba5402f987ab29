/**
 * The layer of a classifier that makes the logits: the last linear layer or 1x1 convolution.
 *
 * @module
 */

import { FormatError, UsageError } from "../errors.ts";
import { sizeOf } from "../tensor.ts";
import { describe, type OnnxModel, type OnnxNode } from "./model.ts";
import { FLOAT_TYPES } from "./value.ts";

/** A classifier's last layer. */
export interface Head {
  /** The Gemm, MatMul or Conv. */
  readonly node: OnnxNode;
  /** Initialiser that holds its weight. */
  readonly weight: string;
  /** Axis of the weight, as stored, that counts the classes. */
  readonly classAxis: number;
  /** Initialiser that holds its bias, [classes]. */
  readonly bias?: string;
  /** Classes that the file's network tells apart. */
  readonly numClasses: number;
}

/** What may stand between the head and the logits. */
const PASSES = new Set([
  "AveragePool",
  "Cast",
  "Dropout",
  "Flatten",
  "GlobalAveragePool",
  "Identity",
  "ReduceMean",
  "Relu",
  "Reshape",
  "Squeeze",
  "Unsqueeze",
]);
const HEADS: readonly string[] = ["Gemm", "MatMul", "Conv"];
const MAX_LISTED = 8;
/** Longest chain of Cast, Identity and Transpose between an initialiser and its reader. */
const MAX_COPIES = 16;
/** Operators that leave a weight what it is, but for the order of its axes. */
export const COPIES: ReadonlySet<string> = new Set(["Cast", "Identity", "Transpose"]);

/** An initialiser behind a value, and whether the value is its transpose. */
interface Source {
  readonly initialiser: string;
  readonly transposed: boolean;
}

/** The initialiser that a value is, through Identity, Cast from one float to another, and Transpose of two axes. */
export function sourceOf(
  value: string,
  { initialisers }: OnnxModel,
  producer: ReadonlyMap<string, OnnxNode>,
): Source | undefined {
  let initialiser = value, flips = 0;
  for (let step = 0; step < MAX_COPIES && !initialisers.has(initialiser); step++) {
    const node = producer.get(initialiser);
    if (node === undefined || !COPIES.has(node.operator)) return undefined;
    if (node.operator === "Cast" && !FLOAT_TYPES.includes(Number(node.attributes.get("to")))) return undefined;
    if (node.operator === "Transpose") {
      if (`${node.attributes.get("perm") ?? "1,0"}` !== "1,0") return undefined;
      flips++;
    }
    initialiser = node.inputs[0];
  }
  const stored = initialisers.get(initialiser);
  if (stored === undefined || (flips > 0 && stored.shape.length !== 2)) return undefined;
  return { initialiser, transposed: flips % 2 === 1 };
}

/** The node that gives each value. */
export function producersOf({ nodes }: OnnxModel): Map<string, OnnxNode> {
  return new Map(nodes.flatMap((node) => node.outputs.map((output): [string, OnnxNode] => [output, node])));
}

function classAxisOf({ operator, attributes }: OnnxNode, { transposed }: Source): number {
  if (operator === "Conv") return 0;
  const transB = operator === "Gemm" && Number(attributes.get("transB") ?? 0) !== 0;
  return transB === transposed ? 1 : 0;
}

/** Whether a stored tensor has one element, which fits any number of classes. */
function isNumber({ initialisers }: OnnxModel, name: string): boolean {
  return sizeOf(initialisers.get(name)!.shape) === 1;
}

/**
 * The head that a node is.
 *
 * @param added initialiser that is added to what the node gives
 * @throws UsageError where its weight is not stored in the file, or has a kernel, or there are two biases
 */
function headAt(
  model: OnnxModel,
  producer: ReadonlyMap<string, OnnxNode>,
  node: OnnxNode,
  added?: string,
): Head {
  const source = sourceOf(node.inputs[1] ?? "", model, producer);
  const shape = source && model.initialisers.get(source.initialiser)!.shape;
  const kernel = node.operator === "Conv" ? shape?.slice(2).some((n) => n !== 1) : shape?.length !== 2;
  if (source === undefined || shape === undefined || kernel) {
    throw unknown(model, `${describe(node)} has no weight of its own, or a kernel above 1x1`);
  }
  const classAxis = classAxisOf(node, source), numClasses = shape[classAxis];
  const own = node.inputs[2] ? sourceOf(node.inputs[2], model, producer)?.initialiser : undefined;
  if (node.inputs[2] && added !== undefined && !isNumber(model, added)) {
    throw unknown(model, `${describe(node)} has a bias, and ${added} is added to what it gives`);
  }
  const bias = own ?? (added !== undefined && isNumber(model, added) ? undefined : added);
  if (bias !== undefined && model.initialisers.get(bias)!.shape.join() !== `${numClasses}`) {
    const { shape } = model.initialisers.get(bias)!;
    throw unknown(model, `the bias ${bias} of ${describe(node)} has the shape [${shape}]; [${numClasses}] is required`);
  }
  return { node, weight: source.initialiser, classAxis, bias, numClasses };
}

/** The bias that a MatMul's product is added to. */
function biasAfter(model: OnnxModel, producer: ReadonlyMap<string, OnnxNode>, node: OnnxNode): string | undefined {
  const sum = model.nodes.find(({ operator, inputs }) => operator === "Add" && inputs.includes(node.outputs[0]));
  const other = sum?.inputs.find((input) => input !== node.outputs[0]);
  return other === undefined ? undefined : sourceOf(other, model, producer)?.initialiser;
}

function unknown(model: OnnxModel, reason: string): UsageError {
  const nodes = model.nodes.filter(({ operator }) => HEADS.includes(operator)).slice(-MAX_LISTED);
  const list = nodes.map(({ name }) => name).join(", ");
  return new UsageError(
    `Cannot tell the head of ${model.file}: ${reason}; name one of its last layers with --head: ${
      list || "it has none"
    }`,
  );
}

/** The node of a name, or that gives a value of that name. */
function namedHead(model: OnnxModel, producer: ReadonlyMap<string, OnnxNode>, name: string): Head {
  const node = model.nodes.find((candidate) => candidate.name === name) ?? producer.get(name);
  if (node === undefined || !HEADS.includes(node.operator)) {
    throw unknown(model, node === undefined ? `it has no node ${name}` : `${describe(node)} is no linear layer`);
  }
  return headAt(model, producer, node, biasAfter(model, producer, node));
}

/**
 * Finds the head: back from the logits to the first linear layer, over what does not mix classes.
 *
 * @param name the head's node, where it cannot be told
 * @throws UsageError where it cannot be told
 */
export function findHead(model: OnnxModel, name?: string): Head {
  const producer = producersOf(model);
  if (name !== undefined) return namedHead(model, producer, name);
  let value = model.output, bias: string | undefined;
  for (;;) {
    const node = producer.get(value);
    if (node === undefined) throw unknown(model, "no linear layer stands before its output");
    if (HEADS.includes(node.operator)) return headAt(model, producer, node, bias);
    if (node.operator === "Add") {
      const sources = node.inputs.map((input) => sourceOf(input, model, producer));
      const index = sources.findIndex((source) => source !== undefined);
      if (index < 0 || bias !== undefined) throw unknown(model, `${describe(node)} joins several layers`);
      bias = sources[index]!.initialiser;
      value = node.inputs[1 - index];
    } else if (PASSES.has(node.operator)) value = node.inputs[0];
    else throw unknown(model, `${describe(node)} stands between it and the logits`);
  }
}

/** Sizes that a value states, if it is a constant. */
function statedSizes(
  { initialisers }: OnnxModel,
  producer: ReadonlyMap<string, OnnxNode>,
  value: string,
): number[] | undefined {
  const stated = initialisers.get(value) ?? producer.get(value)?.attributes.get("value");
  if (typeof stated !== "object" || !("data" in stated) || stated.dtype !== "int64") return undefined;
  return Array.from(stated.data as BigInt64Array, Number);
}

/**
 * The model with logits of as many classes as its head gives: a reshape behind the head to rows of the file's own number
 * becomes `Flatten`, which gives the same rows.
 */
export function withOpenClasses(model: OnnxModel, { node: own, numClasses }: Head): OnnxModel {
  const producer = producersOf(model), behind = new Set(own.outputs);
  const nodes = model.nodes.map((node): OnnxNode => {
    const { operator, inputs, outputs } = node;
    if (!inputs.some((input) => behind.has(input)) || !(PASSES.has(operator) || operator === "Add")) return node;
    outputs.forEach((output) => behind.add(output));
    const sizes = operator === "Reshape" ? statedSizes(model, producer, inputs[1]) : undefined;
    if (sizes?.length !== 2 || sizes[1] !== numClasses) return node;
    return { ...node, operator: "Flatten", inputs: [inputs[0]], attributes: new Map([["axis", 1]]) };
  });
  return { ...model, nodes };
}

/** Refuses a file whose head cannot give that many logits. */
export function requireLogits(model: OnnxModel, shape: readonly number[], batch: number, classes: number): void {
  if (shape.length === 2 && shape[0] === batch && shape[1] === classes) return;
  throw new FormatError(
    `Cannot import ${model.file}: its output ${model.output} has the shape [${shape}]; logits [${batch}, ${classes}] ` +
      "are required",
  );
}
