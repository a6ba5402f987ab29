/**
 * The layer of a classifier that makes the logits: the last linear layer or 1x1 convolution.
 *
 * @module
 */

import { FormatError, UsageError } from "../errors.ts";
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
const COPIES = new Set(["Cast", "Identity", "Transpose"]);

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

/** The head that a node is; `undefined` where its weight is not stored in the file. */
function headAt(
  model: OnnxModel,
  producer: ReadonlyMap<string, OnnxNode>,
  node: OnnxNode,
  addedBias?: string,
): Head | undefined {
  const source = sourceOf(node.inputs[1] ?? "", model, producer);
  if (source === undefined) return undefined;
  const { shape } = model.initialisers.get(source.initialiser)!;
  if (node.operator === "Conv" ? shape.slice(2).some((n) => n !== 1) : shape.length !== 2) return undefined;
  const classAxis = classAxisOf(node, source), numClasses = shape[classAxis];
  const named = node.inputs[2] ? sourceOf(node.inputs[2], model, producer)?.initialiser : addedBias;
  const bias = named !== undefined && model.initialisers.get(named)!.shape.join() === `${numClasses}`
    ? named
    : undefined;
  if (named !== undefined && bias === undefined) return undefined;
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
  const head = headAt(model, producer, node, biasAfter(model, producer, node));
  if (head === undefined) throw unknown(model, `${describe(node)} has no weight of its own, or a kernel above 1x1`);
  return head;
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
    if (HEADS.includes(node.operator)) {
      const head = headAt(model, producer, node, bias);
      if (head === undefined) throw unknown(model, `${describe(node)} has no weight of its own, or a kernel above 1x1`);
      return head;
    }
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

/** Refuses a file whose head cannot give that many logits. */
export function requireLogits(model: OnnxModel, shape: readonly number[], batch: number, classes: number): void {
  if (shape.length === 2 && shape[0] === batch && shape[1] === classes) return;
  throw new FormatError(
    `Cannot import ${model.file}: its output ${model.output} has the shape [${shape}]; logits [${batch}, ${classes}] ` +
      "are required",
  );
}
