/**
 * Classifiers as ONNX files, for any runtime that reads them.
 *
 * @module
 */

import type { Normalisation } from "../data/normalisation.ts";
import { normalisationFacts } from "../onnx/image_metadata.ts";
import { foldBatchNorm } from "../onnx/export/fold.ts";
import { NodeList } from "../onnx/export/nodes.ts";
import {
  forInference,
  inFloat32,
  pruned,
  withNormalisation,
  withoutHead,
  withTensors,
} from "../onnx/export/transform.ts";
import { type OnnxFileOptions, type OnnxFiles, writeOnnxModel } from "../onnx/export/write.ts";
import type { OnnxModel } from "../onnx/model.ts";
import { featureShape, type OnnxNetwork } from "../onnx/network.ts";
import type { StateDict } from "../tensor.ts";
import { layoutModel } from "./device_model.ts";
import { type ClassifierConfig, onnxNetworkOf, residualConfig } from "./network.ts";
import { OnnxLayers, type OnnxValue } from "./onnx_layers.ts";
import { residualFeatures, residualLogits } from "./resnet.ts";
import { stateDictFromWeights, type Weights } from "./weights.ts";

export type { OnnxFileOptions, OnnxFiles } from "../onnx/export/write.ts";

/** Version of the operators of built-in networks. */
const OPSET = 17;

/** What becomes of a network in its file. */
export interface OnnxExportOptions extends OnnxFileOptions {
  /** Fold BatchNorm into the convolutions before it: faster, the same up to rounding, not to be trained further. */
  readonly fold?: boolean;
  /**
   * How images were normalised in training; the file's `metadata_props` say so. Of an imported network that normalises
   * its images itself, they say what it does.
   */
  readonly normalisation?: Normalisation;
  /** Normalise in the file: its input is then of range 0 to 1, before `normalisation`. */
  readonly normaliseInput?: boolean;
  /** Names of the classes in the order of the logits; the file's `metadata_props` hold them. */
  readonly classNames?: readonly string[];
}

/** Weights of a network; without a head it ends at its features. */
export type ExportedWeights = Omit<Weights, "head"> & Partial<Pick<Weights, "head">>;

/** A residual network's graph and weights. */
function residualModel(config: ClassifierConfig, tensors: StateDict, head: boolean): OnnxModel {
  const { encoder, height, width, numClasses } = config;
  const nodes = new NodeList(), layers = new OnnxLayers(nodes);
  const input = "input", images: OnnxValue = { name: input, channels: 3 };
  const architecture = residualConfig(config);
  const { name, channels } = head
    ? residualLogits(layers, architecture, images, numClasses)
    : residualFeatures(layers, architecture, images);
  return pruned({
    file: encoder,
    opset: OPSET,
    nodes: nodes.nodes,
    initialisers: new Map([...tensors, ...nodes.constants]),
    input: { name: input, shape: [undefined, 3, height, width] },
    output: name,
    outputShape: [undefined, channels],
  });
}

/** The graph of an imported network, or of a named one, with these weights, for images of the size that it was used with. */
function importedModel(
  network: OnnxNetwork,
  { height, width, numClasses }: ClassifierConfig,
  tensors: StateDict,
  hasHead: boolean,
): OnnxModel {
  const { model, head } = network;
  const [batch, channels, h, w] = model.input.shape;
  const shape = [batch, channels ?? 3, h === undefined ? h : height, w === undefined ? w : width];
  const replaced = withTensors(inFloat32({ ...model, input: { ...model.input, shape } }), tensors);
  const outputShape = hasHead ? [batch, numClasses] : featureShape(network, [1, height, width])
    .map((n, axis) => axis === 0 ? batch : axis < 2 || (h !== undefined && w !== undefined) ? n : undefined);
  return forInference({ ...(hasHead ? replaced : withoutHead(replaced, head)), outputShape });
}

/** The classifier's graph with these weights, BatchNorm apart. */
function modelOf(config: ClassifierConfig, { backbone, state, head }: ExportedWeights): OnnxModel {
  const parts = ["backbone", "state", ...head ? ["head" as const] : []] as const;
  const weights = { backbone, state, head: head ?? new Float32Array(0) };
  const layouts = layoutModel(config);
  const misfit = parts.find((part) => weights[part].length !== layouts[part].count);
  if (misfit !== undefined) {
    throw new RangeError(
      `Cannot export ${config.encoder}: ${weights[misfit].length} values were given for its ${misfit}, but ` +
        `${layouts[misfit].count} are required`,
    );
  }
  const tensors = stateDictFromWeights(layouts, weights, parts);
  const network = onnxNetworkOf(config);
  return network === undefined
    ? residualModel(config, tensors, head !== undefined)
    : importedModel(network, config, tensors, head !== undefined);
}

/** What the file says of itself. */
function factsOf(config: ClassifierConfig, options: OnnxExportOptions): Record<string, string> {
  const { fold, normalisation, normaliseInput, classNames, metadata } = options;
  const own = onnxNetworkOf(config)?.model.normalisation, stated = own ?? normalisation;
  return {
    architecture: config.encoder,
    batch_norm: fold ? "folded" : "kept",
    ...stated && normalisationFacts(stated, own !== undefined || normaliseInput === true),
    ...classNames && { classes: JSON.stringify(classNames) },
    ...metadata,
  };
}

/**
 * A classifier and its weights as an ONNX file, from one float32 input [batch, 3, height, width], RGB, to the logits
 * [batch, classes], without softmax; weights without a head give the network of features. BatchNorm stays apart, by its
 * running statistics and under PyTorch's names, so that the file can be read back and trained further, or is folded.
 *
 * An imported network keeps its own graph, opset and names, in float32 throughout; dropout and a softmax behind the logits
 * are left out.
 *
 * @throws RangeError where weights do not fit the network, normalisation is asked for but not given or done by the
 *   network already, or folding meets a variance that is negative
 */
export function writeOnnx(
  config: ClassifierConfig,
  weights: ExportedWeights,
  options: OnnxExportOptions = {},
): OnnxFiles {
  const { fold, normalisation, normaliseInput } = options;
  let model = modelOf(config, weights);
  if (fold) model = foldBatchNorm(model);
  if (normaliseInput) {
    if (normalisation === undefined) {
      throw new RangeError(`Cannot normalise the input of ${config.encoder}: no normalisation is given`);
    }
    if (model.normalisation !== undefined) {
      throw new RangeError(`Cannot normalise the input of ${config.encoder}: the network normalises its images itself`);
    }
    model = withNormalisation(model, normalisation);
  }
  return writeOnnxModel(model, { ...options, metadata: factsOf(config, options) });
}
