/**
 * How the cost grows: with the batch, with the network, with the prior's rank.
 *
 * @module
 */

import { flatLayout, timeSampler } from "./flat.ts";
import type { Problem } from "./peers/peer.ts";
import { openOwn } from "./peers/swagpu.ts";
import { makeProblem } from "./problem.ts";
import type { Context } from "./section.ts";
import { measure, type Spread } from "./statistics.ts";
import type { Cell, Table } from "./table.ts";

const SIZE = 32;
const NETWORKS = ["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"];
const NETWORK_BATCH = 16;
const RANKS = [1, 2, 5, 10, 20];
/** Parameters of the vectors with up to 20 rows. */
const MOST_PARAMETERS = 2 ** 22;

async function timeSteps({ gpu, effort }: Context, problem: Problem): Promise<Spread> {
  const trainer = await openOwn(gpu, problem);
  try {
    const work = { run: (count: number) => trainer.steps(count) };
    return (await measure(new Map([["steps", work]]), effort)).get("steps")!;
  } finally {
    await trainer.close();
  }
}

async function withBatch(context: Context): Promise<Table> {
  const rows: Cell[][] = [];
  for (let batch = 1; batch <= context.largestBatch; batch *= 2) {
    context.log(`growth: batch ${batch}`);
    const time = await timeSteps(context, makeProblem("resnet20", batch, SIZE));
    rows.push([batch, time, 1000 * batch / time.median]);
  }
  return {
    title: "Growth with the batch",
    note: "ResNet-20 at 32, SGD.",
    columns: ["batch", "ms a step", "images/s"],
    rows,
  };
}

async function withNetwork(context: Context): Promise<Table> {
  const rows: Cell[][] = [];
  for (const encoder of NETWORKS) {
    context.log(`growth: ${encoder}`);
    const problem = makeProblem(encoder, NETWORK_BATCH, SIZE);
    const time = await timeSteps(context, problem);
    rows.push([encoder, problem.weights.length, time, time.median / problem.weights.length * 1e6]);
  }
  return {
    title: "Growth with the network",
    note:
      `Batch ${NETWORK_BATCH} at 32, SGD. The networks differ in depth alone, so that time should be linear in the ` +
      "parameters.",
    columns: ["network", "parameters", "ms a step", "ms per million parameters"],
    rows,
  };
}

async function withRank({ gpu, effort, parameters, log }: Context): Promise<Table> {
  const layout = flatLayout(Math.min(parameters, MOST_PARAMETERS), gpu.maxBindingBytes);
  const none = await timeSampler(gpu, layout, "sghmc", undefined, effort.rounds);
  const rows: Cell[][] = [["no prior", none, undefined]];
  for (const rank of RANKS) {
    log(`growth: rank ${rank}`);
    const time = await timeSampler(gpu, layout, "sghmc", rank, effort.rounds);
    rows.push([rank, time, (time.median - none.median) / rank]);
  }
  return {
    title: "Growth with the prior's rank",
    note:
      `One SGHMC step on ${layout.count} parameters, device time, without forward and backward pass. Each row is read ` +
      "twice; what the prior costs besides (mean, Psi, a draw from it) does not depend on the rank.",
    columns: ["rank", "ms", "ms above no prior, for each row"],
    rows,
  };
}

/** The section. */
export async function growth(context: Context): Promise<Table[]> {
  return [await withBatch(context), await withNetwork(context), await withRank(context)];
}
