/**
 * How the cost grows: with the batch, with the network, with the prior's rank.
 *
 * @module
 */

import { classifierCost } from "../../lib/models/cost.ts";
import { flatLayout, timeSampler } from "./flat.ts";
import type { Problem } from "./peers/peer.ts";
import { openOwn } from "./peers/swagpu.ts";
import { configOf, makeProblem } from "./problem.ts";
import type { Context } from "./section.ts";
import { measure, type Spread } from "./statistics.ts";
import { sizeOf } from "./steps.ts";
import type { Cell, Table } from "./table.ts";

const SIZE = 32;
/** Networks that differ in depth alone, and the others up to ResNet-101. */
const DEEPER = ["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"];
const LARGER = ["resnet18", "resnet34", "resnet50", "resnet101"];
const DEEPER_BATCH = 16, LARGER_BATCH = 2;
const RANKS = [1, 2, 5, 10, 20];
const NETWORK_COLUMNS = ["network", "parameters", "GFLOP a step", "ms a step", "ms per million parameters", "GFLOP/s"];
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

async function withNetwork(context: Context, networks: readonly string[], batch: number): Promise<Cell[][]> {
  const rows: Cell[][] = [];
  for (const encoder of networks) {
    context.log(`growth: ${encoder}`);
    const problem = makeProblem(encoder, batch, sizeOf(encoder)), time = await timeSteps(context, problem);
    const parameters = problem.weights.length, { trainingFlops } = classifierCost(configOf(problem), batch);
    rows.push([
      encoder,
      parameters,
      trainingFlops / 1e9,
      time,
      time.median / parameters * 1e6,
      trainingFlops / time.median / 1e6,
    ]);
  }
  return rows;
}

async function withDepth(context: Context): Promise<Table> {
  return {
    title: "Growth with the network's depth",
    note:
      `Batch ${DEEPER_BATCH} at 32, SGD. Nothing but depth differs, so that time should be linear in the parameters.`,
    columns: NETWORK_COLUMNS,
    rows: await withNetwork(context, DEEPER, DEEPER_BATCH),
  };
}

async function withSize(context: Context): Promise<Table> {
  return {
    title: "Growth with the network's size",
    note: `Batch ${LARGER_BATCH} at 224, SGD. Parameters meet different numbers of pixels: arithmetic tells more.`,
    columns: NETWORK_COLUMNS,
    rows: await withNetwork(context, LARGER, LARGER_BATCH),
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
  return [await withBatch(context), await withDepth(context), await withSize(context), await withRank(context)];
}
