/**
 * An imported classifier, and its graph.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { Graph } from "../graph/graph.ts";
import type { ParameterLayout, Tensor } from "../ops/operation.ts";
import { globalAveragePool } from "../ops/pool.ts";
import { image, IMAGE_ORDER, inOrder, plain, WEIGHT_ORDER } from "./arrange.ts";
import { withoutHead } from "./export/transform.ts";
import { findHead, type Head, requireLogits, withOpenClasses } from "./head.ts";
import { describe, type OnnxModel, type OnnxNode } from "./model.ts";
import { OPERATORS } from "./operators.ts";
import { type PlannedParameter, planParameters } from "./parameters.ts";
import { type Constants, ConstantTables, type Construction, NodeScope } from "./scope.ts";
import { type DeviceValue, fromHostTensor, identityOrder, type Value, workOf } from "./value.ts";

/** A file's network and its head. */
export interface OnnxNetwork {
  /** The file's graph and weights. */
  readonly model: OnnxModel;
  /** What turns features into logits; a fresh one takes its place for another number of classes. */
  readonly head: Head;
}

/** Settings of the graph. */
export interface OnnxGraphOptions {
  /** Outputs of the head: the file's, or a fresh head's. */
  readonly numClasses: number;
  /** Weight of a batch in BatchNorm's running statistics; the file's unless given. */
  readonly batchNormMomentum?: number;
  /** Stands before the names of operations and tables, where a network appears several times. */
  readonly prefix?: string;
}

/** What the graph gives. */
export interface OnnxGraph {
  /** [N, numClasses] */
  readonly logits: Tensor;
  /** External tensors that the host writes once. */
  readonly constants: Constants;
}

/** A network of a model; `headName` names the head's node where it cannot be told. */
export function onnxNetwork(model: OnnxModel, headName?: string): OnnxNetwork {
  const head = findHead(model, headName);
  return { model: withOpenClasses(model, head), head };
}

/** Memory order of a stored tensor's axes. */
const ORDERS: Readonly<Record<ParameterLayout, readonly number[] | undefined>> = {
  convolution: WEIGHT_ORDER,
  linear: [1, 0],
  vector: undefined,
};

function parameterValue(graph: Graph, { vector, name, layout, shape }: PlannedParameter): DeviceValue {
  const tensor = graph.parameter(vector, name, layout, shape);
  return { place: "device", tensor, shape, order: ORDERS[layout] ?? identityOrder(shape.length) };
}

/** Runs `build` for a node; what it finds wrong becomes a `FormatError` that names the node. */
function atNode<T>(model: OnnxModel, node: OnnxNode, build: () => T): T {
  try {
    return build();
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof TypeError || error instanceof RangeError)) throw error;
    throw new FormatError(`Cannot import ${describe(node)} of ${model.file}: ${error.message}`, { cause: error });
  }
}

function requireSupported({ file, nodes }: OnnxModel): void {
  const unknown = nodes.find(({ operator }) => !Object.hasOwn(OPERATORS, operator));
  if (unknown === undefined) return;
  throw new FormatError(
    `Cannot import ${describe(unknown)} of ${file}: the operator is not supported; these are: ${
      Object.keys(OPERATORS).join(", ")
    }`,
  );
}

/** Most elements that the nodes of one graph may have on the host, together: 512 MiB. */
const MAX_HOST_ELEMENTS = 2 ** 26;
/** Most elements of those that the nodes of one graph may read, together: each takes time, though not memory. */
const MAX_HOST_READS = 2 ** 28;
/** Most axes of a tensor. */
const MAX_AXES = 64;

/** Values by name while the graph is built. */
class Values {
  readonly #known = new Map<string, Value>();
  readonly #model: OnnxModel;
  #hostElements = 0;
  #hostReads = 0;

  constructor(model: OnnxModel) {
    this.#model = model;
  }

  set(name: string, value: Value): void {
    const { shape } = value;
    if (shape.length > MAX_AXES) {
      throw new FormatError(`it makes a tensor of ${shape.length} axes; at most ${MAX_AXES} are possible`);
    }
    if (value.place === "host") this.#hostElements += workOf(shape);
    if (this.#hostElements > MAX_HOST_ELEMENTS) {
      throw new FormatError(`the constants up to here have more than ${MAX_HOST_ELEMENTS} elements together`);
    }
    this.#known.set(name, value);
  }

  get(name: string): Value | undefined {
    if (name === "") return undefined;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const stored = this.#model.initialisers.get(name);
    if (stored === undefined) throw new FormatError(`nothing gives ${name}`);
    const value = fromHostTensor(stored);
    this.set(name, value);
    return value;
  }

  /** What a node reads; `undefined` where an optional input is left out. */
  inputsOf({ inputs }: OnnxNode): (Value | undefined)[] {
    return inputs.map((name) => {
      const value = this.get(name);
      if (value?.place === "host") this.#hostReads += workOf(value.shape);
      if (this.#hostReads <= MAX_HOST_READS) return value;
      throw new FormatError(`the nodes up to here read more than ${MAX_HOST_READS} elements of constants`);
    });
  }
}

function buildNode(model: OnnxModel, node: OnnxNode, values: Values, construction: Construction): void {
  atNode(model, node, () => {
    const scope = new NodeScope(node, values.inputsOf(node), construction);
    const built = OPERATORS[node.operator](scope);
    scope.finish();
    const outputs = Array.isArray(built) ? built as readonly Value[] : [built as Value];
    outputs.forEach((value, index) => node.outputs[index] && values.set(node.outputs[index], value));
  });
}

/** Appends all nodes of a network to a graph. */
function buildNodes(
  graph: Graph,
  { model, head }: OnnxNetwork,
  images: Tensor,
  { numClasses, batchNormMomentum, prefix = "" }: OnnxGraphOptions,
): { readonly values: Values; readonly construction: Construction } {
  requireSupported(model);
  const constants = new ConstantTables();
  const construction: Construction = { graph, opset: model.opset, batchNormMomentum, constants, prefix };
  const values = new Values(model);
  values.set(model.input.name, inOrder(images, IMAGE_ORDER));
  for (const parameter of planParameters(model, head, numClasses)) {
    values.set(parameter.name, parameterValue(graph, parameter));
  }
  for (const node of model.nodes) buildNode(model, node, values, construction);
  return { values, construction };
}

/**
 * The shape, in ONNX's order, of what the head reads of images [N, H, W].
 *
 * @throws FormatError that names the node that cannot be built
 */
export function featureShape(
  network: OnnxNetwork,
  images: readonly [n: number, h: number, w: number],
): readonly number[] {
  const graph = new Graph(), { head } = network;
  const { values } = buildNodes(graph, network, graph.external("images", [...images, 3]), head);
  return values.get(head.node.inputs[0])!.shape;
}

/**
 * Appends an imported network to a graph.
 *
 * @param images [N, H, W, 3], normalised
 * @throws FormatError that names the node that cannot be built
 */
export function buildOnnx(graph: Graph, network: OnnxNetwork, images: Tensor, options: OnnxGraphOptions): OnnxGraph {
  const { model } = network, { numClasses } = options;
  const { values, construction } = buildNodes(graph, network, images, options);
  const last = model.nodes[model.nodes.length - 1];
  const logits = atNode(model, last, () => {
    const value = values.get(model.output)!;
    requireLogits(model, value.shape, images.shape[0], numClasses);
    if (value.place === "host") throw new FormatError("the logits do not depend on the images");
    return plain(new NodeScope(last, [value], construction), value);
  });
  return { logits, constants: construction.constants.tables };
}

/**
 * Appends an imported network up to its head to a graph: what the head reads, averaged over an image's pixels if it is one.
 *
 * @param images [N, H, W, 3], normalised
 * @returns features [N, F]
 * @throws FormatError that names the node that cannot be built, or the head if it reads neither rows nor images
 */
export function buildOnnxFeatures(
  graph: Graph,
  { model, head }: OnnxNetwork,
  images: Tensor,
): { readonly features: Tensor; readonly constants: OnnxGraph["constants"] } {
  const backbone = withoutHead(model, head), prefix = `${images.name} `;
  const { values, construction } = buildNodes(graph, { model: backbone, head }, images, { numClasses: 0, prefix });
  const features = atNode(model, head.node, () => {
    const value = values.get(backbone.output)!;
    if (value.place === "host") throw new FormatError("its features do not depend on the images");
    const scope = new NodeScope(head.node, [value], construction);
    if (value.shape.length === 2) return plain(scope, value);
    if (value.shape.length === 4) return scope.apply(globalAveragePool(`${scope.name} features`, image(scope, value)));
    throw new FormatError(`its features have the shape [${value.shape}]; rows or images are required`);
  });
  return { features, constants: construction.constants.tables };
}
