/**
 * Which initialisers are weights, in which vector, in which layout on the device.
 *
 * @module
 */

import { isMadeUp } from "../checkpoint/onnx_tensor.ts";
import type { Parameter, ParameterLayout } from "../ops/operation.ts";
import { type HostTensor, sizeOf } from "../tensor.ts";
import { COPIES, type Head, producersOf, sourceOf } from "./head.ts";
import { FormatError } from "../errors.ts";
import { describe, type OnnxModel, type OnnxNode } from "./model.ts";
import { isFloat } from "./value.ts";

/** A weight or running statistic of the file. */
export interface PlannedParameter {
  /** Name in the file. */
  readonly name: string;
  readonly vector: Parameter["vector"];
  readonly layout: ParameterLayout;
  /** The file's shape, except of a head with another number of classes. */
  readonly shape: readonly number[];
}

/** How a node uses an input. */
export type Use = "convolution" | "linear" | "vector" | "state" | "operand" | "constant";

/** Inputs that operators read as weights whatever their name; others are operands of arithmetic, or constants. */
function useOf({ operator, attributes }: OnnxNode, input: number, transposed: boolean): Use {
  switch (operator) {
    case "Conv":
    case "ConvTranspose":
      return input === 1 ? "convolution" : "vector";
    case "BatchNormalization":
      return input >= 3 ? "state" : "vector";
    case "LayerNormalization":
      return "vector";
    case "Gemm":
      return input === 1 && (Number(attributes.get("transB") ?? 0) !== 0) !== transposed ? "linear" : "vector";
    case "MatMul":
      return transposed ? "linear" : "vector";
    case "Add":
    case "Sub":
    case "Mul":
    case "Div":
    case "Concat":
    case "Expand":
    case "Gather":
    case "Reshape":
    case "Slice":
    case "Split":
    case "Squeeze":
    case "Transpose":
    case "Unsqueeze":
    case "Where":
      return "operand";
    default:
      return "constant";
  }
}

/**
 * How each floating-point initialiser is used. As an operand of arithmetic a tensor is a weight if it has a name of its
 * own (position embeddings, layer scales), and a constant if the exporter made its name up (masks, scales).
 */
export function usesOf(model: OnnxModel): Map<string, Use> {
  const producer = producersOf(model);
  const uses = new Map<string, Use>();
  for (const node of model.nodes) {
    node.inputs.forEach((value, input) => {
      const source = sourceOf(value, model, producer);
      if (source === undefined || !isFloat(model.initialisers.get(source.initialiser)!)) return;
      const { initialiser, transposed } = source;
      const use = useOf(node, input, transposed);
      const known = uses.get(initialiser);
      // An operand's layout is free: another use of the tensor decides.
      if (known === undefined || known === "constant" || (known === "operand" && use !== "constant")) {
        uses.set(initialiser, use);
      }
    });
  }
  return uses;
}

/**
 * Float tensors of more than one element that the exporter worked out itself, and that arithmetic reads: constants, whatever
 * they were made of. Folding Swin's tables of relative positions makes such.
 */
export function workedOutOperands(model: OnnxModel): string[] {
  return [...usesOf(model)]
    .filter(([name, use]) => use === "operand" && isMadeUp(name) && sizeOf(model.initialisers.get(name)!.shape) > 1)
    .map(([name]) => name);
}

/** Refuses to replace a head whose tensors another node reads as well: their sizes are the file's there. */
function requireOwn(model: OnnxModel, { node: own, weight, bias }: Head): void {
  const producer = producersOf(model);
  for (const node of model.nodes) {
    if (node.outputs[0] === own.outputs[0] || COPIES.has(node.operator)) continue;
    // What a product has its bias added by is part of the head.
    const addsBias = node.operator === "Add" && !own.inputs[2];
    const shared = node.inputs.map((value) => sourceOf(value, model, producer)?.initialiser)
      .find((name) => name !== undefined && (name === weight || (name === bias && !addsBias)));
    if (shared === undefined) continue;
    throw new FormatError(
      `Cannot put another head into ${model.file}: ${describe(node)} reads ${shared} of its head, ${
        describe(own)
      }, as ` +
        "well; export the network with weights of its own for each",
    );
  }
}

/**
 * The weights in the file's order, which is PyTorch's; all are the backbone's where no head is given.
 *
 * @throws FormatError where a head of other classes shares its tensors with another node
 */
export function planParameters(model: OnnxModel, head?: Head, numClasses = 0): PlannedParameter[] {
  const uses = usesOf(model);
  if (head !== undefined && numClasses !== head.numClasses) requireOwn(model, head);
  const planned: PlannedParameter[] = [];
  for (const [name, { shape }] of model.initialisers) {
    const use = uses.get(name);
    if (use === undefined || use === "constant" || (use === "operand" && isMadeUp(name))) continue;
    const inHead = name === head?.weight || name === head?.bias;
    const classAxis = name === head?.weight ? head.classAxis : 0;
    planned.push({
      name,
      vector: use === "state" ? "state" : inHead ? "head" : "backbone",
      layout: use === "convolution" || use === "linear" ? use : "vector",
      shape: inHead ? shape.map((n, axis) => axis === classAxis ? numClasses : n) : shape,
    });
  }
  return planned;
}

/** The file's tensors of the weights, by name. */
export function weightsOf(model: OnnxModel, head: Head): Map<string, HostTensor> {
  const planned = planParameters(model, head, head.numClasses);
  return new Map(planned.map(({ name }) => [name, model.initialisers.get(name)!]));
}
