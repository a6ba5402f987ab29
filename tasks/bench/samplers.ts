/**
 * What sampling costs: samplers under a learned prior against plain SGD, a SWAG snapshot against a step, and the host's
 * part of a step.
 *
 * @module
 */

import type { TrainingOptions } from "../../lib/inference/training.ts";
import { SubspaceCollector } from "../../lib/priors/subspace/collector.ts";
import { SwagCollector } from "../../lib/priors/swag.ts";
import type { Problem } from "./peers/peer.ts";
import { openOwn, type OwnTrainer } from "./peers/swagpu.ts";
import { randomPrior } from "./prior.ts";
import { makeProblem } from "./problem.ts";
import { runScript } from "./process.ts";
import type { Context } from "./section.ts";
import { measure, requireClose, spreadOf, type Work } from "./statistics.ts";
import { sizeOf } from "./steps.ts";
import type { Cell, Table } from "./table.ts";

const RANK = 5;
const NUM_DATA = 50_000;
const SAMPLERS = ["sgld", "sghmc"] as const;
const NETWORKS = ["resnet20", "resnet50"];

/** A sampler under a prior about the first weights. */
function under(problem: Problem, sampler: "sgld" | "sghmc"): Partial<TrainingOptions> {
  const head = problem.parameters.slice(-2).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const mean = problem.weights.slice(0, problem.weights.length - head);
  return {
    prior: randomPrior(mean.length, RANK, 1, mean),
    headVariance: 1,
    settings: { sampler, momentum: problem.momentum, temperature: 1, numData: NUM_DATA, priorStep: "implicit" },
  };
}

async function compare({ gpu, effort, log }: Context, problem: Problem): Promise<Cell[][]> {
  const { encoder, batchSize } = problem;
  log(`samplers: ${encoder}, batch ${batchSize}`);
  // As users have it: in a process that trains one network, and keeps track of nothing else.
  const host = spreadOf(await runScript<number[]>("host_times.ts", [encoder, batchSize, sizeOf(encoder)]));
  const sgd = await openOwn(gpu, problem), first = await sgd.steps(1);
  const trainers = new Map<string, OwnTrainer>([["sgd", sgd]]);
  for (const sampler of SAMPLERS) {
    trainers.set(`${sampler}, learned prior of rank ${RANK}`, await openOwn(gpu, problem, under(problem, sampler)));
  }
  const collector = await SwagCollector.create(gpu, sgd.model.vectors.backbone);
  const sketched = await SubspaceCollector.create(gpu, sgd.model.vectors.backbone, {
    subspace: "freq_dir",
    maxRank: RANK,
  });
  try {
    for (const trainer of trainers.values()) {
      if (trainer !== sgd) requireClose("a sampler's first loss", Math.abs(await trainer.steps(1) - first), 0);
    }
    const times = await measure(
      new Map<string, Work>([
        ...[...trainers].map(([name, trainer]) => [name, { run: (n: number) => trainer.steps(n) }] as const),
        ["SWAG snapshot", {
          async run(count: number) {
            for (let i = 0; i < count; i++) collector.collect();
            await gpu.finish();
          },
        }] as const,
        [`SWAG snapshot, freq_dir of rank ${RANK}`, {
          async run(count: number) {
            for (let i = 0; i < count; i++) await sketched.collect();
            await gpu.finish();
          },
        }] as const,
      ]),
      effort,
    );
    const reference = times.get("sgd")!.median;
    return [
      ...[...times].map(([name, spread]) => [encoder, batchSize, name, spread, spread.median / reference]),
      [encoder, batchSize, "host: encode and submit", host, undefined],
    ];
  } finally {
    sketched.destroy();
    collector.destroy();
    for (const trainer of trainers.values()) await trainer.close();
  }
}

/** The section. */
export async function samplers(context: Context): Promise<Table[]> {
  const rows: Cell[][] = [];
  for (const encoder of NETWORKS) {
    const batch = context.batches.get(encoder)?.[0];
    if (batch !== undefined) rows.push(...await compare(context, makeProblem(encoder, batch, sizeOf(encoder))));
  }
  return [{
    title: "Samplers, SWAG and the host",
    note:
      "Whole steps, in turns; every sampler's first loss equals SGD's bit for bit. The noise is drawn in each step. The " +
      "host is timed in a process of its own, which trains by SGD.",
    columns: ["network", "batch", "what", "ms", "time / sgd"],
    rows,
  }];
}
