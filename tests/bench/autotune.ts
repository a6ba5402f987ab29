/**
 * A training step with the default way of computing each matrix product, and with the ways that a search finds: both on
 * one device, in turns.
 *
 * for s in cpu gpu; do deno run -A tests/bench/autotune.ts $s; done > tests/bench/results/autotune.md
 * deno run -A tests/bench/autotune.ts cpu resnet50 4 224
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { type KernelSchedule, openGpu } from "../../lib/gpu/device.ts";
import { autotuneClassifier } from "../../lib/inference/autotune.ts";
import { openOwn } from "../../tasks/bench/peers/swagpu.ts";
import { configOf, makeProblem } from "../../tasks/bench/problem.ts";
import { measure, relativeError, requireClose } from "../../tasks/bench/statistics.ts";
import { type Cell, markdownOf } from "../../tasks/bench/table.ts";

const SEARCH_SECONDS = 600;
/** Rounds in which both take turns, and seconds of a turn. */
const EFFORT = { rounds: 9, seconds: 2 };
/**
 * Two orders of summation: of the loss, and of the change of the weights in one step; of the latter as the bench has it,
 * since a rectifier next to its kink moves a gradient.
 */
const LOSS_TOLERANCE = 1e-5, CHANGE_TOLERANCE = 0.01, CHANGE_TOLERANCE_224 = 0.05;

const [schedule, ENCODER = "resnet20", batch = "64", side = "32"] = Deno.args;
const BATCH = Number(batch), SIDE = Number(side);
using gpu = await openGpu({ schedule: schedule as KernelSchedule });
const problem = makeProblem(ENCODER, BATCH, SIDE);
const usual = await openOwn(gpu, problem);
const { table, rows, seconds } = await autotuneClassifier(gpu, configOf(problem), BATCH, { seconds: SEARCH_SECONDS });
const tuned = await openOwn(gpu, problem);

const losses = [await usual.steps(1), await tuned.steps(1)];
const changes = [await usual.weights(), await tuned.weights()].map((weights) =>
  weights.map((weight, i) => weight - problem.weights[i])
);
requireClose("the tuned loss", Math.abs(losses[1] / losses[0] - 1), LOSS_TOLERANCE);
requireClose(
  "the tuned gradient",
  relativeError(changes[1], changes[0]),
  SIDE < 224 ? CHANGE_TOLERANCE : CHANGE_TOLERANCE_224,
);

const times = await measure(
  new Map([usual, tuned].map((trainer) => [trainer, { run: (count: number) => trainer.steps(count) }])),
  EFFORT,
);
const [before, after] = [times.get(usual)!, times.get(tuned)!];
const other = rows.filter((row) => row.chosen !== row.usual).length;
const sum = (time: (row: typeof rows[number]) => number) =>
  rows.reduce((total, row) => total + row.count * time(row), 0);
const steps: Cell[][] = [
  ["defaults", before, 1000 * BATCH / before.median, sum((row) => row.usualTime)],
  ["tuned", after, 1000 * BATCH / after.median, sum((row) => row.chosenTime)],
];
console.log(
  [
    `# Schedule \`${schedule}\`: ${ENCODER}, batch ${BATCH}, on ${gpu.adapter.description || gpu.adapter.device}`,
    `${new Date().toISOString().slice(0, 10)}, ${navigator.hardwareConcurrency} threads, Deno ${Deno.version.deno}. ` +
    `The search took ${seconds.toFixed(0)} s over ${rows.length} classes of products (${
      rows.reduce((n, row) => n + row.tried, 0)
    } ` +
    `variants) and prefers another way than the default for ${other} of them. A step is ` +
    `${(before.median / after.median).toFixed(3)} times as fast with what it found.`,
    markdownOf({
      title: "Training step",
      note:
        "Milliseconds, median and quartiles of 9 turns of 2 seconds each; loss and gradient agree. The last column " +
        "adds up the device's times of the products alone, as the search measured them.",
      columns: ["products", "step, ms", "images/s", "products, ms"],
      rows: steps,
    }),
    markdownOf({
      title: "Products",
      note: "Milliseconds of one on the device; another way than the default is used only where it saves 5 %.",
      columns: ["product", "count", "default", "ms", "to use", "its ms", "tried"],
      rows: rows.map((row) => [
        row.shapeClass,
        row.count,
        row.usual,
        row.usualTime,
        table[row.shapeClass],
        row.chosenTime,
        row.tried,
      ]),
    }),
  ].join("\n\n") + "\n",
);
await usual.close();
await tuned.close();
