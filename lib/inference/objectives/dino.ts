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
import { frozenFirst, mlp, prototypes } from "./layers.ts";
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
  prototypes: number;
  temperature: number;
  targetTemperature: number;
  warmupTemperature: number;
  warmupEpochs: number;
  centreMomentum: number;
  freezeEpochs: number;
} & MomentumSettings;

/**
 * The mean over all pairs of a view and another one, which is large, of the cross-entropy of softmax(s / temperature) against
 * softmax((t - centre) / targetTemperature).
 *
 * @param s [views B, K]: logits, view by view, of the two large views first
 * @param t [2 B, K]: those of the momentum network for the large views; those of the other ones count
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
  const algebra = new Algebra(graph), batch = t.shape[0] / 2, views = s.shape[0] / batch;
  const centred = algebra.combine("centred", "sub", t, centre);
  const wanted = graph.apply(
    softmax("wanted", algebra.combine("sharpened targets", "div", centred, targetTemperature)),
  );
  const logits = algebra.affine("sharpened", s, 1 / temperature);
  const { large, small } = algebra.counterparts("other targets", wanted, views);
  const loss = (name: string, rows: Tensor, targets: Tensor) =>
    algebra.mean(`mean ${name}`, graph.apply(crossEntropyRows(name, rows, { kind: "soft", targets })));
  if (small === undefined) return loss("losses", logits, large);
  // Cross-entropy is linear in what is wanted: a small view's two pairs are one with the mean of both.
  const both = algebra.affine("targets of small views", algebra.combine("sum of targets", "add", ...small), 0.5);
  const ofLarge = loss("losses of large views", algebra.rows("large logits", logits, 0, 2 * batch), large);
  const ofSmall = loss("losses of small views", algebra.rows("small logits", logits, 2 * batch, views * batch), both);
  const share = 1 / (views - 1);
  return algebra.combine(
    "mean loss",
    "add",
    algebra.affine("share of large views", ofLarge, share),
    algebra.affine("share of small views", ofSmall, 1 - share),
  );
}

/** Logits of the prototypes [views B, K]; `hold` may keep the prototypes from moving. */
function head(
  context: ObjectiveContext<Settings>,
  features: Tensor,
  hold = (moving: Tensor): Tensor => moving,
): Tensor {
  const { graph, settings: { projHidden, projOut, prototypes: count } } = context;
  const algebra = new Algebra(graph), hidden = { width: projHidden, activation: "gelu" } as const;
  const z = mlp(context, "projector", features, [hidden, hidden, { width: projOut }]);
  return algebra.products(
    "logits",
    algebra.normalise("unit projections", z),
    hold(prototypes(graph, "prototypes", count, projOut)),
  );
}

/**
 * DINO with the original system's sizes; the momentum network sees the large views alone. The target's temperature goes
 * from the first to the final one in `warmupEpochs`; prototypes do not move in the first `freezeEpochs`.
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
    freezeEpochs: 1,
    ...MOMENTUM,
  },
  multiCrop: true,
  momentum: {
    keep: (settings) => keepOf("dino", settings),
    build: (context, features) => head(context, features),
  },
  build(context, features, targets) {
    const { graph, settings } = context;
    requirePositive("dino", settings, ["temperature", "targetTemperature", "warmupTemperature"]);
    const { targetTemperature: final, warmupTemperature: first, warmupEpochs } = settings;
    const warmup = Math.max(1, warmupEpochs * context.stepsPerEpoch);
    const temperature = context.scalar(
      "target temperature",
      (step) => final + (first - final) * Math.max(0, 1 - step / warmup),
    );
    const centre = context.memory("centre", [1, settings.prototypes], "zeros");
    const from = graph.apply(reduceMean("mean target", targets!, [0]));
    requireWhole("dino", settings, "freezeEpochs", 0);
    const logits = head(context, features, (moving) => frozenFirst(context, moving, settings.freezeEpochs));
    const loss = dinoLoss(graph, logits, targets!, centre, temperature, settings.temperature);
    return { loss, updates: [{ kind: "average", memory: centre, from, keep: settings.centreMomentum }] };
  },
};
