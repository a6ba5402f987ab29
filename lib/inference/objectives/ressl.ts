/**
 * ReSSL (Zheng et al., arXiv 2107.09282): how similar a view is to earlier images shall be how similar a slowly moving copy
 * of the network finds the other view, seen more sharply.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows } from "../../ops/cross_entropy_rows.ts";
import type { Tensor } from "../../ops/operation.ts";
import { softmax } from "../../ops/softmax.ts";
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

type Settings = {
  projHidden: number;
  projOut: number;
  temperature: number;
  targetTemperature: number;
  queueSize: number;
} & MomentumSettings;

/**
 * The mean over rows of the cross-entropy of softmax(q . queue / temperature) against softmax(k . queue /
 * targetTemperature).
 *
 * @param q [2 B, D]: projections, view by view
 * @param k [2 B, D]: those of the momentum network, in the same order; the other view's count
 * @param queue [Q, D]: projections of earlier images, of unit length
 * @returns [1], in nats
 */
export function relationLoss(
  graph: Graph,
  q: Tensor,
  k: Tensor,
  queue: Tensor,
  { temperature, targetTemperature }: { readonly temperature: number; readonly targetTemperature: number },
): Tensor {
  const algebra = new Algebra(graph);
  const relations = (name: string, x: Tensor, sharpness: number) =>
    algebra.products(name, algebra.affine(`${name} sharpened`, algebra.normalise(`${name} unit`, x), sharpness), queue);
  const logits = relations("relations", q, 1 / temperature);
  const wanted = relations("wanted relations", algebra.swapped("other keys", k), 1 / targetTemperature);
  const targets = graph.apply(softmax("wanted", wanted));
  return algebra.mean("mean loss", graph.apply(crossEntropyRows("losses", logits, { kind: "soft", targets })));
}

function projector(context: ObjectiveContext<Settings>, features: Tensor): Tensor {
  const { projHidden, projOut } = context.settings;
  return mlp(context, "projector", features, [{ width: projHidden, activation: "relu" }, { width: projOut }]);
}

/** ReSSL with the original system's sizes, in both directions; one queue holds the keys of both views. */
export const ressl: Objective<Settings> = {
  name: "ressl",
  defaults: {
    projHidden: 2048,
    projOut: 256,
    temperature: 0.1,
    targetTemperature: 0.04,
    queueSize: 65536,
    ...MOMENTUM,
  },
  momentum: {
    keep: (settings) => keepOf("ressl", settings),
    build: (context, features) => new Algebra(context.graph).normalise("keys", projector(context, features)),
  },
  build(context, features, targets) {
    const { projOut, queueSize } = context.settings;
    requireWhole("ressl", context.settings, "queueSize");
    requirePositive("ressl", context.settings, ["temperature", "targetTemperature"]);
    const memory = context.memory("queue", [queueSize, projOut], "unit rows");
    const keys = new Algebra(context.graph).fixed("keys", targets!);
    const loss = relationLoss(context.graph, projector(context, features), keys, memory, context.settings);
    return { loss, updates: [{ kind: "ring", memory, from: keys }] };
  },
};
