/**
 * A real transfer: a prior learned from ResNet-20 on 4,000 CIFAR-10 images, used on Oxford 17 Flowers at 32x32 with 10 labels
 * a class. Five methods at equal budget and equal search; three seeds. Writes `results/flowers17.md`:
 *
 * `deno run -A tests/bench/flowers17.ts`
 *
 * It needs `../shared/data` beside the project and about 30 minutes on two CPU cores. Runs that are done are kept in
 * `runs/flowers17.jsonl`, so that a stopped bench goes on.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { type LearnedPrior, learnPrior } from "../../lib/inference/learn_prior.ts";
import { constantSwag } from "../../lib/inference/swag_schedules.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { weightsFromStateDict } from "../../lib/models/weights.ts";
import { type Budget, EPS, HEAD_VARIANCE, MOMENTUM, RIVALS, runRival, type Setting } from "../../tasks/demo/rivals.ts";
import { compete, describeRow, loadFlowers, renderRows, type Row, RunLog, SEEDS, SHARED } from "./flowers17_runs.ts";

const LOG = "runs/flowers17.jsonl";
const RESULTS = new URL("results/flowers17.md", import.meta.url);
const BUDGET: Budget = { steps: 100, batchSize: 34, samples: 6, cycles: 2 };
const PRIOR_STEPS = 190;
const normalisation = NORMALISATIONS.imagenet;

/** Four more settings a method, around the best of the demo's six: the source is further from the task here. */
const CLOSER: Readonly<Record<string, readonly Setting[]>> = {
  "SGD, no prior": [0.07, 0.15, 0.3, 0.4].map((learningRate) => ({ learningRate, scale: 0 })),
  "isotropic prior, MAP": [
    { learningRate: 0.1, scale: 0.1 },
    { learningRate: 0.1, scale: 1 },
    { learningRate: 0.2, scale: 0.1 },
    { learningRate: 0.2, scale: 1 },
  ],
  "learned prior, MAP": [
    { learningRate: 0.1, scale: 1e6 },
    { learningRate: 0.1, scale: 1e7 },
    { learningRate: 0.2, scale: 1e6 },
    { learningRate: 0.2, scale: 1e7 },
  ],
  "learned prior, SGHMC average": [
    { learningRate: 0.1, scale: 1e3 },
    { learningRate: 0.1, scale: 1e4 },
    { learningRate: 0.2, scale: 1e2 },
    { learningRate: 0.2, scale: 1e3 },
  ],
  "learned prior, cold SGHMC average": [0.1, 0.2].flatMap((learningRate) =>
    [1e-2, 1e-4].map((temperature) => ({ learningRate, scale: 1e6, temperature }))
  ),
};

async function learn(gpu: Gpu): Promise<LearnedPrior> {
  const train = await loadDataset({ name: "cifar10", split: "train", dir: `${SHARED}cifar10` });
  const model = { encoder: "resnet20", numClasses: 10, height: 32, width: 32 };
  const file = "resnet20-12fca82f.th";
  const found = await readCheckpoint(await Deno.readFile(`${SHARED}checkpoints/${file}`), file);
  return await learnPrior(gpu, {
    model,
    weights: weightsFromStateDict(layoutModel(model), found, { head: "require", seed: 0 }),
    train,
    batchSize: 64,
    normalisation,
    augmentation: AUGMENTATIONS.crop,
    schedule: constantSwag({ learningRate: 0.01, steps: PRIOR_STEPS, start: 10, interval: 18 }),
    momentum: 0.9,
    weightDecay: 1e-4,
    maxRank: 10,
    seed: 0,
    hooks: {
      onMetrics(metrics) {
        if (metrics.length > 0) {
          console.error(`prior: step ${metrics.at(-1)!.step + 1}, loss ${metrics.at(-1)!.loss.toFixed(3)}`);
        }
      },
    },
  });
}

function renderPage(rows: readonly Row[], chosen: ReadonlyMap<string, Setting>, adapter: string): string {
  return `# ResNet-20, CIFAR-10 prior, Oxford 17 Flowers at 32x32, 10 labels a class

\`deno run -A tests/bench/flowers17.ts\`, ${
    new Date().toISOString().slice(0, 10)
  }, ${adapter}. Prior: SWAG over ${PRIOR_STEPS} steps of
64 from resnet20-12fca82f on 4,000 CIFAR-10 images, rank at most 10, eps ${EPS}. Downstream: ${BUDGET.steps} steps of ${BUDGET.batchSize} images for every
method, the same augmentation, head prior N(0, ${HEAD_VARIANCE}), momentum ${MOMENTUM}; the SGHMC averages have ${BUDGET.samples} samples over
${BUDGET.cycles} cycles, at temperature 1 unless a colder one is stated. All methods start from the learned mean. 272 test images; mean and standard deviation over ${SEEDS.length} seeds (subset,
head, order). Learning rate, scale and temperature were chosen by NLL on 170 other training images, ten settings a method (the demo's six, then four around the
best of these), before the test images were used.

${renderRows(rows, chosen)}`;
}

if (import.meta.main) {
  await Deno.mkdir("runs", { recursive: true });
  const log = await RunLog.open(LOG);
  using gpu = await openGpu();
  const learned = await learn(gpu);
  const flowers = await loadFlowers();
  const config = { encoder: "resnet20", numClasses: flowers.numClasses, height: 32, width: 32 };
  const contestants = RIVALS.map((rival) => ({ ...rival, search: [...rival.search, ...CLOSER[rival.name]] }));
  const chosen = await compete(log, contestants, flowers, async (rival, setting, { train, held }, seed) => {
    const { metrics } = await runRival(gpu, rival, setting, { config, learned, train, test: held }, BUDGET, seed);
    return metrics;
  }, { report: (row) => console.error(describeRow(row)) });
  const page = renderPage(log.rows, chosen!, gpu.adapter.description);
  await Deno.writeTextFile(RESULTS, page);
  console.log(page);
}
