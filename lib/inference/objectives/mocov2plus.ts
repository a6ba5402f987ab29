/**
 * MoCo v2 (Chen et al., arXiv 2003.04297), with both directions: the projection of a view shall be closer to what a slowly
 * moving copy of the network makes of the other view than to what it made of earlier images.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows } from "../../ops/cross_entropy_rows.ts";
import { concat } from "../../ops/movement.ts";
import type { Tensor } from "../../ops/operation.ts";
import { reduceSum } from "../../ops/reduce.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import {
  keepOf,
  MOMENTUM,
  type MomentumSettings,
  type Objective,
  type ObjectiveContext,
  requirePositive,
  requireWhole,
} from "./objective.ts";

type Settings =
  & { projHidden: number; projOut: number; temperature: number; queueSize: number }
  & MomentumSettings;

/**
 * InfoNCE: the mean over rows of -log softmax of (q . k, q . queue) / temperature at k.
 *
 * @param q [2 B, D]: projections, view by view
 * @param k [2 B, D]: keys, in the same order; the other view's is the one that belongs to a row
 * @param queue [Q, D]: keys of earlier images, of unit length
 * @returns [1], in nats
 */
export function infoNce(graph: Graph, q: Tensor, k: Tensor, queue: Tensor, temperature: number): Tensor {
  const algebra = new Algebra(graph);
  const unit = algebra.affine("sharpened", algebra.normalise("unit projections", q), 1 / temperature);
  const keys = algebra.normalise("unit keys", algebra.swapped("other keys", k));
  const own = graph.apply(reduceSum("own similarity", algebra.combine("own products", "mul", unit, keys), [1]));
  const logits = graph.apply(concat("similarities", [own, algebra.products("earlier similarities", unit, queue)], 1));
  return algebra.mean("mean loss", graph.apply(crossEntropyRows("losses", logits, { kind: "first" })));
}

function projector(context: ObjectiveContext<Settings>, features: Tensor): Tensor {
  const { projHidden, projOut } = context.settings;
  return mlp(context, "projector", features, [{ width: projHidden, activation: "relu" }, { width: projOut }]);
}

/** MoCo v2 with the original system's sizes; one queue holds the keys of both views. */
export const mocov2plus: Objective<Settings> = {
  name: "mocov2plus",
  defaults: { projHidden: 2048, projOut: 128, temperature: 0.1, queueSize: 65536, ...MOMENTUM },
  momentum: {
    keep: (settings) => keepOf("mocov2plus", settings),
    build: (context, features) => new Algebra(context.graph).normalise("keys", projector(context, features)),
  },
  build(context, features, targets) {
    const { projOut, queueSize, temperature } = context.settings;
    requireWhole("mocov2plus", context.settings, "queueSize");
    requirePositive("mocov2plus", context.settings, ["temperature"]);
    const memory = context.memory("queue", [queueSize, projOut], "unit rows");
    // What the momentum network made is copied, so that the queue takes it from this graph.
    const keys = new Algebra(context.graph).fixed("keys", targets!);
    const loss = infoNce(context.graph, projector(context, features), keys, memory, temperature);
    return { loss, updates: [{ kind: "ring", memory, from: keys }] };
  },
};
