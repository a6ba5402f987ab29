/**
 * A static graph of operations and its gradient, by one rule per operation.
 *
 * @module
 */

import type {
  Dispatch,
  GradientOf,
  Operation,
  Parameter,
  ParameterGradient,
  ParameterLayout,
  Target,
  Tensor,
} from "../ops/operation.ts";
import { sizeOf } from "../tensor.ts";
import { isPart, partOf, scratch, storageOf, view } from "../ops/operation.ts";

/** How PyTorch's shape becomes the device's. */
function deviceShape(layout: ParameterLayout, torchShape: readonly number[]): readonly number[] {
  if (layout === "vector") return torchShape;
  const [outer, inner, ...taps] = torchShape;
  return [...taps, inner, outer];
}

/** A graph under construction, then as compiled: operations in order, parameters in PyTorch's order. */
export class Graph {
  readonly #operations: Operation[];
  readonly #parameters: Parameter[];

  /** An empty graph, or one of these operations. */
  constructor(operations: readonly Operation[] = [], parameters: readonly Parameter[] = []) {
    this.#operations = [...operations];
    this.#parameters = [...parameters];
  }

  /** Operations in the order in which they run. */
  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** Parameters and running statistics in the order in which they were declared. */
  get parameters(): readonly Parameter[] {
    return this.#parameters;
  }

  /** Appends an operation and returns its output. */
  apply(operation: Operation): Tensor {
    this.#operations.push(operation);
    return operation.output;
  }

  /** Declares a parameter or running statistic, in PyTorch's shape. */
  parameter(
    vector: Parameter["vector"],
    name: string,
    layout: ParameterLayout,
    torchShape: readonly number[],
  ): Parameter {
    if (this.#parameters.some((other) => other.name === name && other.vector === vector)) {
      throw new RangeError(`Cannot declare ${name} in ${vector}: the name is taken`);
    }
    const role = vector === "state" ? "state" as const : "parameter" as const;
    const parameter: Parameter = { name, vector, layout, torchShape, shape: deviceShape(layout, torchShape), role };
    this.#parameters.push(parameter);
    return parameter;
  }

  /** Declares a tensor in a buffer of its own, which the host writes. */
  external(name: string, shape: readonly number[]): Tensor {
    return { name, shape, role: "external" };
  }

  /** Parameters of one flat vector, in order. */
  parametersOf(vector: Parameter["vector"]): readonly Parameter[] {
    return this.#parameters.filter((parameter) => parameter.vector === vector);
  }
}

/**
 * Dispatches of one operation, told apart from those of other kinds. An operation's labels begin with its name and may
 * end with that of an operand: `layer1.0.add gradient of layer1.0.bn2` is of kind `add gradient`.
 */
function ofKind({ kind, output, name = output.name }: Operation, dispatches: readonly Dispatch[]): Dispatch[] {
  return dispatches.map((dispatch) => {
    const part = dispatch.label.slice(name.length).replace(/ of .*/, "");
    return { ...dispatch, kind: kind + part };
  });
}

/** Launches of one operation in the forward pass. */
export function lowerOperation(operation: Operation, target: Target): Dispatch[] {
  return ofKind(operation, operation.forward(target));
}

/** Launches of the forward pass. */
export function lowerForward(graph: Graph, target: Target): Dispatch[] {
  return graph.operations.flatMap((operation) => lowerOperation(operation, target));
}

/** Tensors (not views) on which the gradient of some trainable parameter depends. */
function differentiable(graph: Graph, trainable: (parameter: Parameter) => boolean): ReadonlySet<Tensor> {
  const set = new Set<Tensor>(graph.parameters.filter((p) => p.role === "parameter" && trainable(p)));
  for (const { inputs, output } of graph.operations) {
    if (inputs.some((input) => set.has(wholeOf(input)))) set.add(storageOf(output));
  }
  return set;
}

/** The parameter, where a tensor is a part of one. */
function wholeOf(tensor: Tensor): Tensor {
  const storage = storageOf(tensor);
  return isPart(storage) ? storage.partOf : storage;
}

/** The launches that one operation adds to the backward pass. */
export interface BackwardStep {
  readonly operation: Operation;
  readonly dispatches: readonly Dispatch[];
}

/**
 * The backward pass of the last operation, which must be a loss, operation by operation. Gradients of parameters are
 * overwritten, not accumulated across steps.
 *
 * @param trainable which parameters get gradients; the default is all
 */
export function lowerBackwardSteps(
  graph: Graph,
  target: Target,
  trainable: (parameter: Parameter) => boolean = () => true,
): BackwardStep[] {
  const wanted = differentiable(graph, trainable);
  const gradients = new Map<Tensor, Tensor>();
  // A view shares its gradient, too, with the tensor whose memory it has.
  const gradientOf: GradientOf = (input) => {
    const storage = storageOf(input);
    if (!wanted.has(wholeOf(storage))) return undefined;
    const known = gradients.get(storage);
    if (known !== undefined) return { tensor: view(known, input.shape), accumulate: true };
    const tensor = storage.role === "parameter"
      ? parameterGradient(storage)
      : { ...scratch(`gradient of ${storage.name}`, storage.shape), activation: storage };
    gradients.set(storage, tensor);
    return { tensor: view(tensor, input.shape), accumulate: false };
  };
  const loss = graph.operations[graph.operations.length - 1];
  return graph.operations.toReversed().flatMap((operation) => {
    const { output } = operation;
    const dOutput = operation === loss ? output : gradients.get(storageOf(output));
    if (dOutput === undefined) return [];
    const dispatches = operation.backward(target, view(dOutput, output.shape), gradientOf);
    return [{ operation, dispatches: ofKind(operation, dispatches) }];
  });
}

/** Launches of the backward pass: see {@linkcode lowerBackwardSteps}. */
export function lowerBackward(
  graph: Graph,
  target: Target,
  trainable?: (parameter: Parameter) => boolean,
): Dispatch[] {
  return lowerBackwardSteps(graph, target, trainable).flatMap(({ dispatches }) => dispatches);
}

function parameterGradient(storage: Tensor): Tensor {
  if (!isPart(storage)) return gradientOfWhole(storage as Parameter);
  const whole = gradientOfWhole(storage.partOf as Parameter), rowSize = sizeOf(storage.shape.slice(1));
  return partOf(whole, storage.first / rowSize, storage.shape[0]);
}

function gradientOfWhole(parameter: Parameter): ParameterGradient {
  return { name: `gradient of ${parameter.name}`, shape: parameter.shape, role: "gradient", parameter };
}
