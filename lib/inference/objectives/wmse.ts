/**
 * W-MSE (Ermolov et al., arXiv 2007.06346): the views of an image shall agree once the projections are whitened, which
 * keeps them from becoming one point.
 *
 * @module
 */

import { UsageError } from "../../errors.ts";
import type { Graph } from "../../graph/graph.ts";
import { gather } from "../../ops/gather.ts";
import { inverseCholesky } from "../../ops/inverse_cholesky.ts";
import { matmul } from "../../ops/matmul.ts";
import { transpose } from "../../ops/movement.ts";
import { type Tensor, view } from "../../ops/operation.ts";
import { reduceMean } from "../../ops/reduce.ts";
import { Algebra } from "./algebra.ts";
import { mlp } from "./layers.ts";
import { type Objective, type ObjectiveContext, requireWhole } from "./objective.ts";

/** How projections are whitened. */
export interface Whitening {
  /** Rows that are whitened together; divides the rows of a view. */
  readonly size: number;
  /** Share of the identity in the covariance. */
  readonly eps: number;
  /** The identity [D, D]. */
  readonly identity: Tensor;
}

/** Rows, `size` at a time, without their mean and times W^T, where W is the inverse Cholesky factor of their covariance. */
function whitened(graph: Graph, name: string, z: Tensor, { size, eps, identity }: Whitening): Tensor {
  const algebra = new Algebra(graph), part = (what: string) => `${name} ${what}`;
  const slices = view(z, [z.shape[0] / size, size, z.shape[1]]);
  const centred = algebra.combine(part("centred"), "sub", slices, graph.apply(reduceMean(part("mean"), slices, [1])));
  const columns = graph.apply(transpose(part("columns"), centred, [0, 2, 1]));
  const products = graph.apply(matmul(part("products"), columns, centred));
  const shrunk = algebra.combine(
    part("covariance"),
    "add",
    algebra.affine(part("scaled products"), products, (1 - eps) / (size - 1)),
    algebra.affine(part("share of the identity"), identity, eps),
  );
  const factor = graph.apply(inverseCholesky(part("factor"), shrunk));
  return view(graph.apply(matmul(name, centred, factor, { transposeB: true })), z.shape);
}

/**
 * The mean over pairs of views of the mean of |w / |w| - w' / |w'||^2, with w the whitened rows of a view. As in the paper,
 * the gradient is that of both views; the original system holds the second fixed, which is half of it on average.
 *
 * @param z [views * B, D]: projections, view by view
 * @param views at least two
 * @returns [1], from 0 to 4
 */
export function wmseLoss(graph: Graph, name: string, z: Tensor, views: number, whitening: Whitening): Tensor {
  const algebra = new Algebra(graph), batch = z.shape[0] / views;
  const w = whitened(graph, `${name} whitened`, z, whitening);
  const parts = Array.from(
    { length: views },
    (_, v) => algebra.rows(`${name} whitened view ${v}`, w, v * batch, (v + 1) * batch),
  );
  const agreements = parts.flatMap((part, v) =>
    parts.slice(v + 1).map((other, u) => algebra.meanCosine(`${name} agreement ${v} ${v + 1 + u}`, part, other))
  );
  const sum = agreements.reduce((total, next, index) => algebra.combine(`${name} sum ${index}`, "add", total, next));
  return algebra.affine(`${name} loss`, sum, -2 / agreements.length, 2);
}

type Settings = {
  projHidden: number;
  projOut: number;
  whiteningSize: number;
  whiteningIterations: number;
  whiteningEps: number;
};

/** Refuses what cannot be whitened. */
function requireWhitening({ batchSize, settings }: ObjectiveContext<Settings>): void {
  const { projOut, whiteningSize: size, whiteningEps: eps } = settings;
  requireWhole("wmse", settings, "whiteningIterations");
  requireWhole("wmse", settings, "whiteningSize", 2);
  if (batchSize % size !== 0) {
    throw new UsageError(
      `Cannot whiten a batch of ${batchSize} by the objective wmse: whiteningSize is ${size}, but a divisor of the ` +
        "batch's size is required",
    );
  }
  if (!(eps >= 0 && eps <= 1)) {
    throw new UsageError(
      `Cannot whiten by the objective wmse: whiteningEps is ${eps}, but one from 0 to 1 is required`,
    );
  }
  if (eps === 0 && size <= projOut) {
    throw new UsageError(
      `Cannot whiten ${size} projections of width ${projOut} by the objective wmse: their covariance is singular; a ` +
        "larger whiteningSize than projOut, or a whiteningEps above 0, is required",
    );
  }
}

/** W-MSE with the original system's sizes. Each iteration whitens other parts of the batch together. */
export const wmse: Objective<Settings> = {
  name: "wmse",
  defaults: { projHidden: 1024, projOut: 128, whiteningSize: 256, whiteningIterations: 1, whiteningEps: 0 },
  build(context, features) {
    requireWhitening(context);
    const { graph, batchSize, views, settings } = context;
    const { projHidden, projOut, whiteningSize, whiteningIterations, whiteningEps } = settings;
    const layers = [{ width: projHidden, norm: true, activation: "relu" }, { width: projOut }] as const;
    const algebra = new Algebra(graph), z = mlp(context, "projector", features, layers);
    const ones = Float32Array.from({ length: projOut ** 2 }, (_, i) => i % (projOut + 1) === 0 ? 1 : 0);
    const identity = context.constant("identity", [projOut, projOut], ones);
    const losses = Array.from({ length: whiteningIterations }, (_, iteration) => {
      const name = `iteration ${iteration}`, byView = view(z, [views, batchSize, projOut]);
      const shuffled = graph.apply(gather(`${name} order`, byView, 1, context.order(name)));
      const whitening = { size: whiteningSize, eps: whiteningEps, identity };
      return wmseLoss(graph, name, view(shuffled, z.shape), views, whitening);
    });
    const sum = losses.reduce((total, next, index) => algebra.combine(`sum ${index}`, "add", total, next));
    return { loss: algebra.affine("mean of iterations", sum, 1 / whiteningIterations) };
  },
};
