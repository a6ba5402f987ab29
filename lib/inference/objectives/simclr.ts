/**
 * SimCLR (Chen et al., arXiv 2002.05709): the two views of an image shall be closer to each other than to any view of
 * another image of the batch. Or, in its supervised variant, all views of images of a class to each other.
 *
 * @module
 */

import { UsageError } from "../../errors.ts";
import type { Graph } from "../../graph/graph.ts";
import { crossEntropyRows, type RowTargets } from "../../ops/cross_entropy_rows.ts";
import type { Tensor } from "../../ops/operation.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import { type Objective, requirePositive, requireSeveral } from "./objective.ts";

/**
 * The mean over rows of the cross-entropy of the softmax, over the other rows, of cosine similarity / temperature.
 *
 * @param z [N, D]: projections
 * @param targets which rows a row shall be close to
 * @returns [1], in nats
 */
function contrast(graph: Graph, z: Tensor, temperature: number, targets: RowTargets): Tensor {
  const algebra = new Algebra(graph);
  const unit = algebra.normalise("unit projections", z);
  const logits = algebra.products("similarities", algebra.affine("sharpened", unit, 1 / temperature), unit);
  return algebra.mean("mean loss", graph.apply(crossEntropyRows("losses", logits, targets)));
}

/**
 * NT-Xent: the mean over all 2 B rows of -log softmax over the other rows of cosine similarity / temperature, at the row
 * of the other view.
 *
 * @param z [2 B, D]: projections; row i and row i + B are views of one image
 * @returns [1], in nats
 */
export function ntXent(graph: Graph, z: Tensor, temperature: number): Tensor {
  return contrast(graph, z, temperature, { kind: "shifted", shift: z.shape[0] / 2, withoutSelf: true });
}

/**
 * The supervised contrastive loss (Khosla et al., arXiv 2004.11362, L_out of equation 2, as a mean over rows): as
 * {@linkcode ntXent}, with the mean over all other rows of the row's class instead of the one row of the other view.
 *
 * @param z [N, D]: projections
 * @param labels [N]: the rows' classes, whole numbers
 * @returns [1], in nats
 */
export function supervisedContrast(graph: Graph, z: Tensor, labels: Tensor, temperature: number): Tensor {
  return contrast(graph, z, temperature, { kind: "peers", classes: labels });
}

type Settings = { projHidden: number; projOut: number; temperature: number; supervised: number };

/**
 * Whether views of all images of a class belong together, instead of those of one image.
 *
 * @throws UsageError where the setting is neither 0 nor 1
 */
function isSupervised({ supervised }: Settings): boolean {
  if (supervised === 0 || supervised === 1) return supervised === 1;
  throw new UsageError(
    `Cannot learn by the objective simclr: supervised is ${supervised}, but 0 or 1 is required`,
  );
}

/**
 * SimCLR with the original system's projector, which is that of version 2 (Chen et al., arXiv 2006.10029): three layers, all
 * normalised; `supervised` 1 is its supervised variant.
 */
export const simclr: Objective<Settings> = {
  name: "simclr",
  defaults: { projHidden: 2048, projOut: 128, temperature: 0.1, supervised: 0 },
  needsLabels: isSupervised,
  build(context, features) {
    const { graph, settings } = context, { projHidden, projOut, temperature } = settings;
    requirePositive("simclr", settings, ["temperature"]);
    requireSeveral("simclr", context.batchSize);
    const hidden = { width: projHidden, bias: false, norm: true, activation: "relu" } as const;
    const z = mlp(context, "projector", features, [hidden, hidden, { width: projOut, bias: false, norm: true }]);
    return {
      loss: isSupervised(settings)
        ? supervisedContrast(graph, z, context.labels(), temperature)
        : ntXent(graph, z, temperature),
    };
  },
};
