/**
 * DeepCluster-v2 (Caron et al., arXiv 2006.09882, appendix D): the prototype that a view is nearest to shall be that of the
 * cluster to which the image belonged when the projections of the pass before were clustered.
 *
 * @module
 */

import { UsageError } from "../../errors.ts";
import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows } from "../../ops/cross_entropy_rows.ts";
import { gather } from "../../ops/gather.ts";
import { expand } from "../../ops/movement.ts";
import { type Tensor, view } from "../../ops/operation.ts";
import { unary } from "../../ops/unary.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import { type Objective, type ObjectiveContext, requirePositive, requireWhole } from "./objective.ts";

/**
 * The mean over rows that have a label of the cross-entropy of softmax(logits / temperature) against it; 0 where no row
 * has one.
 *
 * @param logits [views * B, K]: cosines with the prototypes, view by view
 * @param labels [B]: cluster of each example, from 1 on; 0 where it has none
 * @returns [1], in nats
 */
export function clusterLoss(graph: Graph, name: string, logits: Tensor, labels: Tensor, temperature: number): Tensor {
  const algebra = new Algebra(graph), rows = logits.shape[0], batch = labels.shape[0];
  const repeated = graph.apply(expand(`${name} labels of views`, view(labels, [1, batch]), [rows / batch, batch]));
  const ofRows = view(repeated, [rows]), sharpened = algebra.affine(`${name} sharpened`, logits, 1 / temperature);
  const losses = graph.apply(crossEntropyRows(`${name} losses`, sharpened, { kind: "labels", labels: ofRows }));
  const labelled = graph.apply(unary(`${name} labelled`, ofRows, { kind: "clip", max: 1 }));
  const count = graph.apply(
    unary(`${name} divisor`, algebra.sum(`${name} count`, labelled), { kind: "clip", min: 1 }),
  );
  return algebra.combine(`${name} mean loss`, "div", algebra.sum(`${name} sum`, losses), count);
}

type Settings = {
  projHidden: number;
  projOut: number;
  heads: number;
  prototypes: number;
  clusterIterations: number;
  temperature: number;
};

/** Refuses numbers of clusters that cannot be had. */
function requireClusters({ batchSize, stepsPerEpoch, settings }: ObjectiveContext<Settings>): void {
  for (const key of ["heads", "prototypes", "clusterIterations"]) requireWhole("deepclusterv2", settings, key);
  const rows = batchSize * stepsPerEpoch;
  if (settings.prototypes > rows) {
    throw new UsageError(
      `Cannot make ${settings.prototypes} prototypes by the objective deepclusterv2: an epoch has ${rows} examples, and ` +
        "at least one for each prototype is required",
    );
  }
}

/**
 * DeepCluster-v2 with the original system's sizes: `heads` sets of prototypes, each of the clusters of one view's
 * projections, the large views in turn. They are made after each pass over the images, which are in another order then
 * and in no cluster if that pass left them out. The first pass has no clusters yet: its loss is 0, and it only remembers.
 * So it is in the original system, whose first pass has no labels either; the paper's authors fill the memory by a pass
 * of its own before they train.
 */
export const deepclusterv2: Objective<Settings> = {
  name: "deepclusterv2",
  defaults: {
    projHidden: 2048,
    projOut: 128,
    heads: 3,
    prototypes: 3000,
    clusterIterations: 10,
    temperature: 0.1,
  },
  multiCrop: true,
  build(context, features) {
    requireClusters(context);
    requirePositive("deepclusterv2", context.settings, ["temperature"]);
    const { graph, batchSize, stepsPerEpoch, largeViews, settings } = context;
    const { projHidden, projOut, heads, prototypes, clusterIterations: iterations, temperature } = settings;
    const layers = [{ width: projHidden, norm: true, activation: "relu" }, { width: projOut }] as const;
    const algebra = new Algebra(graph), rows = batchSize * stepsPerEpoch;
    const z = algebra.normalise("unit projections", mlp(context, "projector", features, layers));
    const updates = Array.from({ length: largeViews }, (_, v) => ({
      kind: "ring" as const,
      memory: context.memory(`projections${v}`, [rows, projOut], "zeros"),
      from: algebra.rows(`projections of view ${v}`, z, v * batchSize, (v + 1) * batchSize),
    }));
    const indices = context.placesBefore();
    const made = Array.from({ length: heads }, (_, head) => {
      const centres = context.memory(`prototypes${head}`, [prototypes, projOut], "unit rows");
      // One more for the examples that have no place.
      const labels = context.memory(`labels${head}`, [rows + 1], "zeros");
      const name = `head ${head}`, logits = algebra.products(`${name} cosines`, z, centres);
      const own = graph.apply(gather(`${name} labels`, labels, 0, { indices }));
      return {
        loss: clusterLoss(graph, name, logits, own, temperature),
        clustering: { rows: updates[head % largeViews].memory, prototypes: centres, labels, iterations },
      };
    });
    const sum = made.map(({ loss }) => loss)
      .reduce((total, next, index) => algebra.combine(`sum ${index}`, "add", total, next));
    return {
      loss: algebra.affine("mean of heads", sum, 1 / heads),
      updates,
      clusterings: made.map(({ clustering }) => clustering),
    };
  },
};
