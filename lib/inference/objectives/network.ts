/**
 * The graphs of self-supervised learning: uint8 images, views, backbone, and what an objective puts above it.
 *
 * @module
 */

import type { ImageSize } from "../../data/augment.ts";
import { VIEW_PARAMETERS, viewWeights } from "../../data/augmentation/table.ts";
import { roomOf, type ViewGroup, type ViewSource } from "../../data/augmentation/view_source.ts";
import type { ViewBatch } from "../../data/augmentation/views.ts";
import type { Normalisation } from "../../data/normalisation.ts";
import { fuse } from "../../graph/fuse.ts";
import type { Graph } from "../../graph/graph.ts";
import { type ClassifierConfig, colourTable, type TableValues } from "../../models/classifier.ts";
import { encoder, SharedGraph } from "../../models/encoder.ts";
import { augmentImages } from "../../ops/augment_images.ts";
import { objective as endOf } from "../../ops/flow.ts";
import { gatherTables } from "../../ops/gather.ts";
import { concat } from "../../ops/movement.ts";
import type { Tensor } from "../../ops/operation.ts";
import { PhiloxSequence, Stream } from "../../random/philox.ts";
import type { Clustering, MemoryUpdate, Objective, ObjectiveContext, ObjectiveSettings } from "./objective.ts";

/** What is learned, from which views. */
export interface NetworkOptions {
  /** Network whose backbone learns. */
  readonly model: ClassifierConfig;
  readonly objective: Objective;
  readonly settings: ObjectiveSettings;
  /** Large views first; views of one size together. */
  readonly views: readonly ViewGroup[];
  /** What views are made of; images of the network's size unless given. */
  readonly source?: ViewSource;
  /** Examples a step. */
  readonly batchSize: number;
  /** Steps of a pass over the images. */
  readonly stepsPerEpoch: number;
  readonly normalisation: Normalisation;
}

/** What the host knows of a step before it runs. */
export interface StepFacts {
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  readonly seed: number;
  readonly batch: ViewBatch;
}

/** Makes what is written before a step. */
export type StepInput = (facts: StepFacts) => Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** A graph and the tensors that the host meets. Those of one name are one buffer in both networks. */
export interface ObjectiveNetwork {
  readonly graph: Graph;
  /** uint8 [B, H, W, 3], four to a word; where each view has a box to itself, room for those of each group. */
  readonly images: readonly Tensor[];
  /** For each group of views [views * B, numbers of a draw]. */
  readonly parameters: readonly Tensor[];
  /** What is written once. */
  readonly constants: ReadonlyMap<Tensor, TableValues>;
  /** What else is written before each step. */
  readonly inputs: ReadonlyMap<Tensor, StepInput>;
  /** What outlives a step. */
  readonly memories: ReadonlyMap<Tensor, "zeros" | "unit rows">;
  readonly updates: readonly MemoryUpdate[];
  readonly clusterings: readonly Clustering[];
  /** What the backbone makes of all views [views * B, F], view by view. */
  readonly features: Tensor;
  /** The loss [1], or what the momentum network gives to it. */
  readonly output: Tensor;
  /** What the momentum network gives, as the loss sees it. */
  readonly targets?: Tensor;
}

/** The momentum network, whose output for the large views the loss gets; `undefined` where the objective has none. */
export function buildTargetNetwork(options: NetworkOptions): ObjectiveNetwork | undefined {
  const { momentum } = options.objective;
  if (momentum === undefined) return undefined;
  // Refuses shares that are none before the first step asks for one.
  momentum.keep(options.settings);
  return build(
    { ...options, views: options.views.slice(0, 1) },
    (context, features) => ({ output: momentum.build(context, features), updates: [], clusterings: [] }),
  );
}

/** The network that is trained: it ends with the loss. */
export function buildTrainedNetwork(options: NetworkOptions): ObjectiveNetwork {
  const shape = buildTargetNetwork(options)?.output.shape;
  return build(options, (context, features) => {
    const targets = shape && context.graph.external("targets", shape);
    const { loss, updates = [], clusterings = [] } = options.objective.build(context, features, targets);
    return { output: context.graph.apply(endOf("loss", loss)), updates, clusterings, targets };
  });
}

function build(
  { model, settings, views, source = model, batchSize, stepsPerEpoch, normalisation }: NetworkOptions,
  end: (
    context: ObjectiveContext,
    features: Tensor,
  ) => Pick<ObjectiveNetwork, "output" | "updates" | "clusterings" | "targets">,
): ObjectiveNetwork {
  const graph = new SharedGraph();
  const constants = new Map<Tensor, TableValues>();
  const inputs = new Map<Tensor, StepInput>(), memories = new Map<Tensor, "zeros" | "unit rows">();
  const constant = (
    name: string,
    shape: readonly number[],
    values: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
  ) => {
    const tensor = graph.external(name, shape);
    constants.set(tensor, values);
    return tensor;
  };
  const input = (name: string, size: number, at: StepInput) => {
    const tensor = graph.external(name, [size]);
    inputs.set(tensor, at);
    return tensor;
  };
  let orders = 0;
  const rooms = views.map((group) => roomOf(source, group)), [{ height, width }] = rooms;
  const images = source === "boxes"
    ? views.map((group, index) =>
      graph.external(`boxes ${index}`, [group.length * batchSize, rooms[index].height, rooms[index].width, 3])
    )
    : [graph.external("images", [batchSize, height, width, 3])];
  const colours = constant("colours", [6], colourTable(normalisation));
  const parameters = views.map((group, index) =>
    graph.external(`parameters ${index}`, [group.length * batchSize, VIEW_PARAMETERS])
  );
  const features = views.map((group, index) => {
    const { packed } = rooms[index];
    const pixels = graph.apply(augmentImages(`views ${index}`, images[packed ? index : 0], parameters[index], colours, {
      ...augmentOptions(group),
      packed,
      resize: resizeTensors(group, rooms[index], (name, shape, values) => constant(`${name} ${index}`, shape, values)),
    }));
    const encoded = encoder(graph, model, pixels);
    for (const [tensor, values] of encoded.constants) constants.set(tensor, values);
    return encoded.features;
  });
  const all = features.length === 1 ? features[0] : graph.apply(concat("features", features, 0));
  const context: ObjectiveContext = {
    graph,
    batchSize,
    stepsPerEpoch,
    views: views.flat().length,
    largeViews: views[0].length,
    settings,
    constant,
    scalar: (name, at) => input(name, 1, ({ step, steps }) => Float32Array.of(at(step, steps))),
    order(name) {
      const index = orders++;
      const tables = ({ seed, step }: StepFacts) => {
        const order = Array.from({ length: batchSize }, (_, row) => row);
        return gatherTables(new PhiloxSequence(seed, Stream.batchOrder, step, index).shuffle(order), batchSize);
      };
      return {
        indices: input(`order of ${name}`, batchSize, (facts) => tables(facts).indices),
        places: input(`places of ${name}`, 2 * batchSize + 1, (facts) => tables(facts).places),
      };
    },
    placesBefore: () => input("places before", batchSize, ({ batch }) => batch.placesBefore),
    labels: () =>
      input("labels", views.flat().length * batchSize, ({ batch }) => {
        const rows = new Float32Array(views.flat().length * batchSize);
        for (let row = 0; row < rows.length; row += batchSize) rows.set(batch.labels, row);
        return rows;
      }),
    memory(name, shape, initial) {
      const tensor = graph.external(name, shape);
      memories.set(tensor, initial);
      return tensor;
    },
  };
  const ended = end(context, all);
  // The features as well, whoever reads them: the same kernels run then.
  const kept = [ended.output, all, ...ended.updates.map(({ from }) => from)];
  return { ...ended, graph: fuse(graph, kept), features: all, images, parameters, constants, inputs, memories };
}

/** What the views of a group go through, where any of them does. */
function augmentOptions(group: ViewGroup) {
  const [{ height, width, rotation }] = group;
  return {
    height,
    width,
    rotation: rotation?.interpolation,
    jitter: group.some(({ jitter }) => jitter !== undefined && jitter.probability > 0),
    grey: group.some(({ grey = 0 }) => grey > 0),
    blurKernel: group.find(({ blur }) => blur !== undefined && blur.probability > 0)?.blur?.kernel,
  };
}

function resizeTensors(
  [view]: ViewGroup,
  size: ImageSize,
  constant: (name: string, shape: readonly number[], values: Int32Array<ArrayBuffer>) => Tensor,
) {
  const tables = viewWeights(view, size);
  if (tables === undefined) return undefined;
  const axis = (name: "horizontal" | "vertical") => ({
    weights: constant(`${name} weights`, tables[name].shape, tables[name].values),
    firstFrom: tables[name].firstFrom,
  });
  return { horizontal: axis("horizontal"), vertical: axis("vertical") };
}
