/**
 * The weights of a PyTorch network that was exported to ONNX: its initialisers under PyTorch's own names.
 *
 * Only an export that keeps BatchNorm apart has them all: `torch.onnx.export(model.eval(), ...,
 * training=TrainingMode.PRESERVE, do_constant_folding=False)`, which is what `tasks/torchvision_to_onnx.py` does.
 *
 * @module
 */

import { onnxProto } from "../deps.ts";
import { FormatError } from "../errors.ts";
import type { StateDict } from "../tensor.ts";
import { type Budget, budgetFor } from "./budget.ts";
import { during, duringAsync, foreign } from "./context.ts";
import { type ExternalReader, readExternals } from "./onnx_external.ts";
import { type ExternalFiles, isMadeUp, type Numeric, readOnnxTensor, type TensorProto } from "./onnx_tensor.ts";

/** The part of `onnx.NodeProto` that is read. */
interface NodeProto {
  readonly opType?: string | null;
  readonly input?: readonly string[] | null;
  readonly output?: readonly string[] | null;
  readonly attribute?: readonly { readonly name?: string | null; readonly i?: Numeric | null }[] | null;
}

interface GraphProto {
  readonly node?: readonly NodeProto[] | null;
  readonly initializer?: readonly TensorProto[] | null;
}

const REMEDY = "export the eval-mode network with training=TrainingMode.PRESERVE and do_constant_folding=False, as " +
  "tasks/torchvision_to_onnx.py does";
/** Whether `bytes` begin as a serialised `onnx.ModelProto` does: with its version, field 1, a small integer. */
export function isOnnx(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x08 && bytes[1] < 0x40;
}

/** BatchNorm that computes batch statistics: its running statistics were moved by the export itself. */
function isTraining(node: NodeProto): boolean {
  if (node.opType !== "BatchNormalization") return false;
  const mode = node.attribute?.find(({ name }) => name === "training_mode")?.i;
  return Number((mode ?? 0).toString()) !== 0 || (node.output?.length ?? 0) > 1;
}

/** `onnx.TensorProto.DataType` of floats. */
const FLOAT_TYPES: readonly number[] = [1, 10, 11, 16];

/** Tensors of floats, not single numbers, to which the exporter gave names of its own. */
function unnamedIn(tensors: readonly TensorProto[]): Set<string> {
  const unnamed = tensors.filter(({ name, dims, dataType }) =>
    isMadeUp(name ?? "") && FLOAT_TYPES.includes(dataType ?? 0) &&
    (dims ?? []).some((n) => Number(n.toString()) > 1)
  );
  return new Set(unnamed.map(({ name }) => name!));
}

/** Refuse graphs whose weights are not the network's own, or have lost their names. */
function checkUnfolded(nodes: readonly NodeProto[], tensors: readonly TensorProto[]): void {
  const unnamed = unnamedIn(tensors);
  const folded = nodes.find(({ opType, input }) => opType === "Conv" && unnamed.has(input?.[1] ?? ""));
  if (folded !== undefined) {
    throw new FormatError(
      `BatchNorm is folded into its convolutions (the weights ${
        folded.input![1]
      } have no name of PyTorch's); ${REMEDY}`,
    );
  }
  // Resize has a list of scales, which is no weight.
  const read = nodes.flatMap(({ opType, input }) => opType === "Resize" ? [] : input ?? []);
  const lost = [...new Set(read.filter((name) => unnamed.has(name)))];
  if (lost.length > 0) {
    throw new FormatError(
      `${lost.length} of its tensors have no name of PyTorch's, ${lost[0]} the first: constants were folded into ` +
        `weights; ${REMEDY}`,
    );
  }
  if (nodes.some(isTraining)) {
    throw new FormatError(
      `it was exported in training mode, which moves every running statistic by one momentum step; ${REMEDY}`,
    );
  }
}

/** The exporter keeps equal tensors once and copies them to their other names by `Identity`: two fresh BatchNorms. */
function addCopies(state: StateDict, nodes: readonly NodeProto[]): void {
  for (const { opType, input, output } of nodes) {
    const tensor = opType === "Identity" ? state.get(input?.[0] ?? "") : undefined;
    const name = output?.[0] ?? "";
    if (tensor !== undefined && name !== "" && !isMadeUp(name)) state.set(name, tensor);
  }
}

function graphOf(bytes: Uint8Array): GraphProto {
  const model = foreign("it is not an ONNX model, or it is cut short", () => onnxProto.onnx.ModelProto.decode(bytes));
  const graph = model.graph as GraphProto | null | undefined;
  if (!graph) throw new FormatError("it is an ONNX model without a graph");
  return graph;
}

function weightsIn(graph: GraphProto, budget: Budget, files?: ExternalFiles): StateDict {
  const initialisers = graph.initializer ?? [];
  checkUnfolded(graph.node ?? [], initialisers);
  const state: StateDict = new Map();
  for (const tensor of initialisers) {
    const name = tensor.name ?? "";
    if (isMadeUp(name) || name === "") continue;
    if (state.has(name)) throw new FormatError(`it holds two initialisers named ${name}`);
    const { dtype, shape, data } = readOnnxTensor(tensor, budget, files);
    state.set(name, { dtype, shape, data });
  }
  if (state.size === 0) throw new FormatError("it is an ONNX model without named weights");
  addCopies(state, graph.node ?? []);
  return state;
}

/**
 * The initialisers of an ONNX model under PyTorch's names, in the file's order; constants that the exporter named
 * itself are left out. A tensor may be a view of `bytes`. `name` stands in errors.
 *
 * Throws `FormatError` on damaged bytes, on weights outside the file, and on an export that folded BatchNorm or other
 * constants, or ran in training mode.
 */
export function readOnnxWeights(bytes: Uint8Array, name = "the bytes"): StateDict {
  return during(attempt(name), () => weightsIn(graphOf(bytes), budgetFor(bytes.length)));
}

/**
 * {@linkcode readOnnxWeights} of a model whose larger tensors lie in files beside it.
 *
 * @param external reads those
 */
export async function readSplitOnnxWeights(
  bytes: Uint8Array,
  name: string,
  external: ExternalReader,
): Promise<StateDict> {
  const graph = during(attempt(name), () => graphOf(bytes));
  const files = await duringAsync(attempt(name), () => readExternals(graph.initializer ?? [], external));
  const total = [...files.values()].reduce((sum, { length }) => sum + length, bytes.length);
  return during(attempt(name), () => weightsIn(graph, budgetFor(total), files));
}

function attempt(name: string): string {
  return `Cannot read ${name} as an ONNX model`;
}
