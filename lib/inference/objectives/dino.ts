/**
 * DINO (Caron et al., arXiv 2104.14294): the classes that a view is given shall be those that a slowly moving copy of the
 * network gives to the other, centred and sharpened.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows } from "../../ops/cross_entropy_rows.ts";
import type { Tensor } from "../../ops/operation.ts";
import { reduceMean } from "../../ops/reduce.ts";
import { softmax } from "../../ops/softmax.ts";
import { Algebra } from "./algebra.ts";
import { mlp, prototypes } from "./layers.ts";
import { keepOf, MOMENTUM, type MomentumSettings, type Objective, type ObjectiveContext } from "./objective.ts";

type Settings = {
  projHidden: number;
  projOut: number;
  prototypes: number;
  temperature: number;
  targetTemperature: number;
  warmupTemperature: number;
  warmupEpochs: number;
  centreMomentum: number;
} & MomentumSettings;

/**
 * The mean over rows of the cross-entropy of softmax(s / temperature) against softmax((t - centre) / targetTemperature).
 *
 * @param s [2 B, K]: logits, view by view
 * @param t [2 B, K]: those of the momentum network, in the same order; the other view's count
 * @param centre [1, K]
 * @param targetTemperature [1]
 * @returns [1], in nats
 */
export function dinoLoss(
  graph: Graph,
  s: Tensor,
  t: Tensor,
  centre: Tensor,
  targetTemperature: Tensor,
  temperature: number,
): Tensor {
  const algebra = new Algebra(graph);
  const centred = algebra.combine("centred", "sub", algebra.swapped("other targets", t), centre);
  const targets = graph.apply(
    softmax("wanted", algebra.combine("sharpened targets", "div", centred, targetTemperature)),
  );
  const logits = algebra.affine("sharpened", s, 1 / temperature);
  return algebra.mean("mean loss", graph.apply(crossEntropyRows("losses", logits, { kind: "soft", targets })));
}

/** Logits of the prototypes [2 B, K]. */
function head(context: ObjectiveContext<Settings>, features: Tensor): Tensor {
  const { graph, settings: { projHidden, projOut, prototypes: count } } = context;
  const algebra = new Algebra(graph), hidden = { width: projHidden, activation: "gelu" } as const;
  const z = mlp(context, "projector", features, [hidden, hidden, { width: projOut }]);
  return algebra.products(
    "logits",
    algebra.normalise("unit projections", z),
    prototypes(graph, "prototypes", count, projOut),
  );
}

/**
 * DINO with the original system's sizes, on two large views; the target's temperature goes from the first to the final one
 * in `warmupEpochs`.
 */
export const dino: Objective<Settings> = {
  name: "dino",
  defaults: {
    projHidden: 2048,
    projOut: 256,
    prototypes: 4096,
    temperature: 0.1,
    targetTemperature: 0.07,
    warmupTemperature: 0.04,
    warmupEpochs: 2,
    centreMomentum: 0.9,
    ...MOMENTUM,
  },
  momentum: { keep: (settings) => keepOf("dino", settings), build: head },
  build(context, features, targets) {
    const { graph, settings } = context;
    const { targetTemperature: final, warmupTemperature: first, warmupEpochs } = settings;
    const warmup = Math.max(1, warmupEpochs * context.stepsPerEpoch);
    const temperature = context.scalar(
      "target temperature",
      (step) => final + (first - final) * Math.max(0, 1 - step / warmup),
    );
    const centre = context.memory("centre", [1, settings.prototypes], "zeros");
    const from = graph.apply(reduceMean("mean target", targets!, [0]));
    const loss = dinoLoss(graph, head(context, features), targets!, centre, temperature, settings.temperature);
    return { loss, updates: [{ kind: "average", memory: centre, from, keep: settings.centreMomentum }] };
  },
};
