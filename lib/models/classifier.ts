/**
 * A classifier: uint8 images, a backbone, a linear head and a loss, as one graph for one batch size.
 *
 * @module
 */

import type { Augmentation } from "../data/augment.ts";
import { PLACEMENT_PARAMETERS, planPlacements, type SourceSize } from "../data/augmentation/placements.ts";
import type { WeightTable } from "../data/augmentation/table.ts";
import { type Normalisation, scaleAndShift } from "../data/normalisation.ts";
import { fuse } from "../graph/fuse.ts";
import { Graph } from "../graph/graph.ts";
import { buildOnnx } from "../onnx/network.ts";
import { normaliseImages } from "../ops/images.ts";
import type { Tensor } from "../ops/operation.ts";
import { placeImages } from "../ops/place_images.ts";
import { LOSS_SCALE_LENGTH, scaleGradient } from "../ops/scale_gradient.ts";
import { type CrossEntropyOptions, softmaxCrossEntropy } from "../ops/softmax_cross_entropy.ts";
import { GraphLayers } from "./layers.ts";
import { type ClassifierConfig, onnxNetworkOf, residualConfig } from "./network.ts";
import { residualLogits } from "./resnet.ts";

export type { ClassifierConfig } from "./network.ts";

/** The graph of a classifier and the tensors that the host meets. */
export interface Classifier {
  readonly config: ClassifierConfig;
  readonly batchSize: number;
  readonly graph: Graph;
  /** uint8 [B, H, W, 3], four to a word; of the size that they have before their augmentation. */
  readonly images: Tensor;
  /** [B, PLACEMENT_PARAMETERS]: how the images are augmented; absent unless asked for. */
  readonly placements?: Tensor;
  /** [6]: see {@linkcode colourTable}. */
  readonly colours: Tensor;
  /** uint32 [B]. */
  readonly labels: Tensor;
  /** [B, numClasses]. */
  readonly logits: Tensor;
  /** [3]: sum of losses, number right, number counted. */
  readonly totals: Tensor;
  /** [4]: its first number multiplies the loss's gradient; absent unless asked for. */
  readonly lossScale?: Tensor;
  /** Tables of an imported network and of the augmentation, which the host writes once. */
  readonly constants: ReadonlyMap<Tensor, TableValues>;
}

/** Numbers of a table. */
export type TableValues = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** Settings of the graph that are not the network's. */
export interface ClassifierOptions extends CrossEntropyOptions {
  /** Weight of a batch in BatchNorm's running statistics; 0.1. */
  readonly batchNormMomentum?: number;
  /** The loss's gradient is multiplied by a number on the device. */
  readonly scaledLoss?: boolean;
  /** What is done to training images on the device, each by its placement. */
  readonly augmentation?: Augmentation;
  /** Size of the images before that; the network's unless given. */
  readonly sourceSize?: SourceSize;
}

/** Builds the graph of a classifier for one batch size. */
export function buildClassifier(
  config: ClassifierConfig,
  batchSize: number,
  options: ClassifierOptions = {},
): Classifier {
  const graph = new Graph();
  const { height, width } = options.sourceSize ?? config;
  const images = graph.external("images", [batchSize, height, width, 3]);
  const colours = graph.external("colours", [6]);
  const labels = graph.external("labels", [batchSize]);
  const { input, ...placing } = inputOf(graph, config, { images, colours }, options);
  const network = onnxNetworkOf(config);
  const { logits, constants } = network === undefined
    ? { logits: residualOf(graph, config, input, options), constants: new Map() }
    : buildOnnx(graph, network, input, { ...options, numClasses: config.numClasses });
  const lossScale = options.scaledLoss ? graph.external("loss scale", [LOSS_SCALE_LENGTH]) : undefined;
  const scaled = lossScale ? graph.apply(scaleGradient("scaled logits", logits, lossScale)) : logits;
  const totals = graph.apply(softmaxCrossEntropy("loss", scaled, labels, options));
  const fused = fuse(graph, [logits, totals]);
  return {
    config,
    batchSize,
    graph: fused,
    images,
    placements: placing.placements,
    colours,
    labels,
    logits,
    totals,
    lossScale,
    constants: new Map([...constants, ...placing.tables]),
  };
}

/** The first activation, and what the host writes for it. */
function inputOf(
  graph: Graph,
  size: ClassifierConfig,
  { images, colours }: { readonly images: Tensor; readonly colours: Tensor },
  { augmentation, sourceSize }: ClassifierOptions,
): { readonly input: Tensor; readonly placements?: Tensor; readonly tables: ReadonlyMap<Tensor, TableValues> } {
  const tables = new Map<Tensor, TableValues>();
  if (augmentation === undefined) return { input: graph.apply(normaliseImages("input", images, colours)), tables };
  const placements = graph.external("placements", [images.shape[0], PLACEMENT_PARAMETERS]);
  const [, height, width] = images.shape;
  const { resize, rotate } = planPlacements(augmentation, size, { height, width });
  const axis = (name: string, { shape, values, firstFrom }: WeightTable) => {
    const weights = graph.external(name, shape);
    tables.set(weights, values);
    return { weights, firstFrom };
  };
  const operation = placeImages("input", images, placements, colours, {
    size,
    resize: resize &&
      { horizontal: axis("column weights", resize.horizontal), vertical: axis("row weights", resize.vertical) },
    packed: sourceSize?.packed,
    rotate,
  });
  return { input: graph.apply(operation), placements, tables };
}

/** Logits of a residual network. */
function residualOf(graph: Graph, config: ClassifierConfig, input: Tensor, options: ClassifierOptions): Tensor {
  const layers = new GraphLayers(graph, { momentum: options.batchNormMomentum });
  return residualLogits(layers, residualConfig(config), input, config.numClasses);
}

/** The scale and shift that normalise bytes: [scale r, g, b, shift r, g, b]. */
export function colourTable(normalisation: Normalisation): Float32Array<ArrayBuffer> {
  const { scale, shift } = scaleAndShift(normalisation);
  return Float32Array.from([...scale, ...shift]);
}
