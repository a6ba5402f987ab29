/**
 * `deno task demo`: the whole of swagpu on a built-in task, in a few minutes on two CPU cores.
 *
 * Learns a prior from the shipped checkpoint, then lets five rivals use it on a related task with few labels, at equal
 * budget; prints their table and writes a page with reliability diagrams and accuracy against the number of labels.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import type { ImageSet } from "../lib/data/dataset.ts";
import { proceduralDownstream } from "../lib/data/procedural.ts";
import { balancedSubset, takeExamples } from "../lib/data/subset.ts";
import { renderReport } from "../lib/evaluation/report.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { BUDGET, PRIOR_STEPS, TABLE_LABELS } from "./demo/budget.ts";
import { type Outcome, RIVALS, runRival } from "./demo/rivals.ts";
import { ENCODER, learnDemoPrior } from "./demo/source.ts";
import { type Spread, spread } from "./demo/spread.ts";

const OUT = "swagpu-demo.html";
const SEEDS = [1, 2, 3];
/** Labels in all, over 10 classes. The table is made at the middle one with all seeds, the curve with one. */
const LABELS = [50, TABLE_LABELS, 200];
const TEST_PER_CLASS = 30;
const NAME_WIDTH = Math.max(...RIVALS.map(({ name }) => name.length));

/** All results: by rival, then by number of labels, one outcome a seed. */
type Results = ReadonlyMap<string, Map<number, Outcome[]>>;

async function compareRivals(): Promise<{ results: Results; seconds: number }> {
  const start = performance.now();
  const elapsed = () => `${((performance.now() - start) / 1000).toFixed(0).padStart(4)} s`;
  using gpu = await openGpu();
  console.error(`${elapsed()}  adapter: ${gpu.adapter.description || gpu.adapter.device}`);
  const learned = await learnDemoPrior(gpu, PRIOR_STEPS, (step, loss) => {
    console.error(`${elapsed()}  learning the prior: step ${step + 1} of ${PRIOR_STEPS}, loss ${loss.toFixed(3)}`);
  });
  const test = proceduralDownstream({ seed: 0, perClass: TEST_PER_CLASS, split: "test" });
  const pool = proceduralDownstream({ seed: 0, perClass: 40, split: "train" });
  const config = { encoder: ENCODER, numClasses: test.classNames.length, height: test.height, width: test.width };
  const results = new Map(
    RIVALS.map(({ name }) => [name, new Map<number, Outcome[]>(LABELS.map((count) => [count, []]))]),
  );
  for (const count of LABELS) {
    for (const seed of count === TABLE_LABELS ? SEEDS : SEEDS.slice(0, 1)) {
      const train: ImageSet = takeExamples(pool, balancedSubset(pool, count, seed));
      for (const rival of RIVALS) {
        const outcome = await runRival(gpu, rival, rival.chosen, { config, learned, train, test }, BUDGET, seed);
        results.get(rival.name)!.get(count)!.push(outcome);
        const { accuracy, nll } = outcome.metrics;
        console.error(
          `${elapsed()}  ${count} labels, seed ${seed}, ${rival.name}: ${(100 * accuracy).toFixed(1)} %, NLL ${
            nll.toFixed(3)
          } ` +
            `(${outcome.imagesPerSecond.toFixed(0)} images/s)`,
        );
      }
    }
  }
  return { results, seconds: (performance.now() - start) / 1000 };
}

function tableRows(results: Results): { name: string; accuracy: Spread; nll: Spread; ece: Spread }[] {
  return [...results].map(([name, byCount]) => {
    const metrics = byCount.get(TABLE_LABELS)!.map((outcome) => outcome.metrics);
    return {
      name,
      accuracy: spread(metrics.map((m) => 100 * m.accuracy)),
      nll: spread(metrics.map((m) => m.nll)),
      ece: spread(metrics.map((m) => m.ece)),
    };
  });
}

function printTable(results: Results): void {
  const cell = ({ mean, std }: Spread, digits: number) =>
    `${mean.toFixed(digits)} ± ${std.toFixed(digits)}`.padStart(16);
  console.log(`${"".padEnd(NAME_WIDTH)}${"accuracy, %".padStart(16)}${"NLL, nats".padStart(16)}${"ECE".padStart(16)}`);
  for (const { name, accuracy, nll, ece } of tableRows(results)) {
    console.log(`${name.padEnd(NAME_WIDTH)}${cell(accuracy, 1)}${cell(nll, 3)}${cell(ece, 3)}`);
  }
}

function renderPage(results: Results, seconds: number): string {
  return renderReport({
    title: "swagpu demo: a pre-trained prior with few labels",
    subtitle:
      `${TABLE_LABELS} labels over 10 classes, ${SEEDS.length} seeds (mean and standard deviation); equal budget of ` +
      `${BUDGET.steps} steps of ${BUDGET.batchSize} images; ${seconds.toFixed(0)} s in all`,
    table: {
      columns: [
        "method",
        { name: "accuracy, %", digits: 1, best: "highest" },
        { name: "NLL, nats", digits: 3, best: "lowest" },
        { name: "ECE", digits: 3, best: "lowest" },
      ],
      rows: tableRows(results).map(({ name, accuracy, nll, ece }) => [name, accuracy, nll, ece]),
    },
    reliability: [...results].map(([name, byCount]) => ({ name, bins: byCount.get(TABLE_LABELS)![0].bins })),
    curves: [{
      title: "Accuracy against the number of labels",
      xLabel: "labels",
      yLabel: "accuracy, %",
      xLog: true,
      series: [...results].map(([name, byCount]) => ({
        name,
        points: [...byCount].map(([x, outcomes]) => ({
          x,
          ...spread(outcomes.map(({ metrics }) => 100 * metrics.accuracy)),
        })),
      })),
    }],
    notes: [
      "The source task has 24 classes of textured shapes; the downstream task has 10 pairs of texture and " +
      "shape that the source never shows.",
      "Reliability diagrams are of the first seed. The curve has all seeds at the table's number of labels and one " +
      "elsewhere.",
      "The table reports what came out, whoever wins.",
    ],
    config: {
      encoder: ENCODER,
      budget: BUDGET,
      labels: LABELS,
      seeds: SEEDS,
      priorSteps: PRIOR_STEPS,
      testImages: TEST_PER_CLASS * 10,
    },
  });
}

if (import.meta.main) {
  const { results, seconds } = await compareRivals();
  printTable(results);
  await Deno.writeTextFile(OUT, renderPage(results, seconds));
  console.log(`\n${OUT} holds the reliability diagrams and accuracy against labels; ${seconds.toFixed(0)} s in all`);
}
