/**
 * SimCLR (Chen et al., arXiv 2002.05709): the two views of an image shall be closer to each other than to any view of
 * another image of the batch.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows } from "../../ops/cross_entropy_rows.ts";
import type { Tensor } from "../../ops/operation.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import type { Objective } from "./objective.ts";

/**
 * NT-Xent: the mean over all 2 B rows of -log softmax over the other rows of cosine similarity / temperature, at the row
 * of the other view.
 *
 * @param z [2 B, D]: projections; row i and row i + B are views of one image
 * @returns [1], in nats
 */
export function ntXent(graph: Graph, z: Tensor, temperature: number): Tensor {
  const algebra = new Algebra(graph);
  const unit = algebra.normalise("unit projections", z);
  const logits = algebra.products("similarities", algebra.affine("sharpened", unit, 1 / temperature), unit);
  const shift = z.shape[0] / 2;
  const losses = graph.apply(crossEntropyRows("losses", logits, { kind: "shifted", shift, withoutSelf: true }));
  return algebra.mean("mean loss", losses);
}

/** SimCLR with the original system's sizes. */
export const simclr: Objective<{ projHidden: number; projOut: number; temperature: number }> = {
  name: "simclr",
  defaults: { projHidden: 2048, projOut: 128, temperature: 0.1 },
  build(context, features) {
    const { projHidden, projOut, temperature } = context.settings;
    const z = mlp(context, "projector", features, [{ width: projHidden, activation: "relu" }, { width: projOut }]);
    return { loss: ntXent(context.graph, z, temperature) };
  },
};
