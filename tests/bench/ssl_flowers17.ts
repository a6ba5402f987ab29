/**
 * A prior learned without labels against one learned with them and none: SimCLR and supervised learning on the same 4,000
 * CIFAR-10 images, then Oxford 17 Flowers at 32x32 with 10 labels a class. Writes `results/ssl_flowers17.md`:
 *
 * `deno run -A tests/bench/ssl_flowers17.ts [seconds]`
 *
 * It needs `../shared/data` beside the project and about 20 minutes of a CPU core; after `seconds` it begins nothing more.
 * Priors and runs that are done are kept in `runs`, so that a stopped bench goes on.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { type LearnedPrior, learnPrior } from "../../lib/inference/learn_prior.ts";
import { learnSelfSupervised } from "../../lib/inference/objectives/learn.ts";
import { pretraining } from "../../lib/inference/pretraining.ts";
import { constantSwag } from "../../lib/inference/swag_schedules.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights, stateDictFromWeights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { readPrior, writePrior } from "../../lib/priors/files.ts";
import {
  type Budget,
  EPS,
  HEAD_VARIANCE,
  MOMENTUM,
  type Rival,
  RIVALS,
  runRival,
  type Setting,
} from "../../tasks/demo/rivals.ts";
import { compete, describeRow, loadFlowers, renderRows, RunLog, SEEDS, SHARED } from "./flowers17_runs.ts";
import { VIEW } from "./ssl_view.ts";

const LOG = "runs/ssl_flowers17.jsonl";
const RESULTS = new URL("results/ssl_flowers17.md", import.meta.url);
const ENCODER = "resnet8_narrow";
const SOURCE_MODEL = { encoder: ENCODER, numClasses: 10, height: 32, width: 32 };
const BUDGET: Budget = { steps: 200, batchSize: 34, samples: 1, cycles: 1 };
const BATCH = 128, STEPS_PER_EPOCH = Math.floor(4000 / BATCH);
const EPOCHS = 10, SWAG_EPOCHS = 2, INTERVAL = 6, RANK = 10;
const normalisation = NORMALISATIONS.imagenet;

const SOURCES = ["supervised", "SimCLR"] as const;
type Source = (typeof SOURCES)[number];
/** Learning rates of the first epochs and of the snapshots: SGD's and AdamW's. */
const RATES: Readonly<Record<Source, readonly [number, number]>> = {
  supervised: [0.1, 0.02],
  SimCLR: [0.004, 0.001],
};

/** Learns from the source images, from scratch, by as many steps either way. */
async function learn(gpu: Gpu, source: Source): Promise<LearnedPrior> {
  const [learningRate, swagRate] = RATES[source];
  const common = {
    model: SOURCE_MODEL,
    weights: initialWeights(layoutModel(SOURCE_MODEL), 1),
    train: await loadDataset({ name: "cifar10", split: "train", dir: `${SHARED}cifar10` }),
    batchSize: BATCH,
    normalisation,
    schedule: pretraining(
      { learningRate, steps: EPOCHS * STEPS_PER_EPOCH, warmup: STEPS_PER_EPOCH },
      constantSwag({
        learningRate: swagRate,
        steps: SWAG_EPOCHS * STEPS_PER_EPOCH,
        interval: INTERVAL,
        start: INTERVAL,
      }),
    ),
    maxRank: RANK,
    seed: 1,
  };
  const hooks = {
    onMetrics(metrics: readonly { step: number; loss: number }[]) {
      const last = metrics.at(-1);
      if (last) console.error(`${source}: step ${last.step + 1}, loss ${last.loss.toFixed(3)}`);
    },
  };
  return source === "supervised"
    ? await learnPrior(gpu, { ...common, augmentation: AUGMENTATIONS.crop, momentum: 0.9, weightDecay: 1e-4, hooks })
    : await learnSelfSupervised(gpu, {
      ...common,
      objective: "simclr",
      settings: { projHidden: 256, projOut: 64 },
      views: [[VIEW, VIEW]],
      optimiser: { optimiser: "adamw", momentum: 0.9, weightDecay: 1e-4 },
      hooks,
    });
}

/** A prior that is learned, kept as a file. */
async function priorOf(gpu: Gpu, source: Source): Promise<LearnedPrior> {
  const path = `runs/ssl_flowers17_${source}.safetensors`, layouts = layoutModel(SOURCE_MODEL);
  const bytes = await Deno.readFile(path).catch(() => undefined);
  if (bytes !== undefined) {
    const { swag, model } = readPrior(bytes);
    const weights = weightsFromStateDict(layouts, model, { head: "fresh", seed: 1 });
    return { swag, weights, snapshots: swag.covFactor.length };
  }
  const learned = await learn(gpu, source);
  const parameters = layouts.backbone.entries.map(({ name, torchShape }) => ({ name, shape: torchShape }));
  const model = stateDictFromWeights(layouts, learned.weights, ["backbone", "state"]);
  const metadata = { architecture: ENCODER, source: `${source}, seed 1`, sourceSha256: "", software: "swagpu" };
  await Deno.writeFile(path, writePrior({ swag: learned.swag, parameters, model, metadata }));
  return learned;
}

/** A rival, and where it comes from. */
interface Arm extends Rival {
  readonly source?: Source;
}

/** An arm without a prior. */
function withoutPrior(name: string, learningRates: readonly number[], source?: Source): Arm {
  const rival = RIVALS.find(({ name }) => name === "SGD, no prior")!;
  return { ...rival, name, search: learningRates.map((learningRate) => ({ learningRate, scale: 0 })), source };
}

/** An arm with the learned prior. */
function withPrior(name: string, search: readonly Setting[], source: Source): Arm {
  return { ...RIVALS.find(({ name }) => name === "learned prior, MAP")!, name, search, source };
}

const RATES_TRIED = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8];
const PRIORS_TRIED = [0.1, 0.4].flatMap((learningRate) => [1e1, 1e3, 1e5].map((scale) => ({ learningRate, scale })));
/** Two more settings an arm: the best scale of both priors was the largest, and rates around the best of the others. */
const LARGER = [1e6, 1e7].map((scale) => ({ learningRate: 0.1, scale }));

/** From scratch; and from either source, without its prior but from its mean, and with it. */
const ARMS: readonly Arm[] = [
  withoutPrior("from scratch, no prior", [...RATES_TRIED, 0.03, 0.07]),
  withoutPrior("supervised mean, no prior", [...RATES_TRIED, 0.03, 0.07], "supervised"),
  withPrior("supervised prior, MAP", [...PRIORS_TRIED, ...LARGER], "supervised"),
  withoutPrior("SimCLR mean, no prior", [...RATES_TRIED, 0.3, 0.5], "SimCLR"),
  withPrior("SimCLR prior, MAP", [...PRIORS_TRIED, ...LARGER], "SimCLR"),
];

const until = performance.now() + 1000 * Number(Deno.args[0] ?? Infinity);
await Deno.mkdir("runs", { recursive: true });
const log = await RunLog.open(LOG);
using gpu = await openGpu();
const priors: LearnedPrior[] = [];
for (const source of SOURCES) {
  if (performance.now() > until) Deno.exit(0);
  priors.push(await priorOf(gpu, source));
}
const flowers = await loadFlowers();
const config = { ...SOURCE_MODEL, numClasses: flowers.numClasses };
const chosen = await compete(log, ARMS, flowers, async (arm, setting, { train, held: test }, seed) => {
  // Without a prior only the weights are read.
  const learned = arm.source
    ? priors[SOURCES.indexOf(arm.source)]
    : { ...priors[0], weights: initialWeights(layoutModel(config), seed) };
  return (await runRival(gpu, arm, setting, { config, learned, train, test }, BUDGET, seed)).metrics;
}, { report: (row) => console.error(describeRow(row)), until });
if (chosen !== undefined) {
  const page = `# A prior without labels, one with them, and none: Oxford 17 Flowers at 32x32, 10 labels a class

Written by \`tests/bench/ssl_flowers17.ts\` on ${gpu.adapter.description}. ${ENCODER}; both priors from scratch on the same 4,000
CIFAR-10 images, by ${
    EPOCHS + SWAG_EPOCHS
  } epochs of batches of ${BATCH} each: ${EPOCHS} of a cosine with a warm-up of one epoch, then ${SWAG_EPOCHS} at a constant rate with
a SWAG snapshot every ${INTERVAL} steps, rank at most ${RANK}. Supervised: SGD at ${
    RATES.supervised.join(", then ")
  }, random crops and flips. SimCLR: AdamW at
${
    RATES.SimCLR.join(", then ")
  }, two views of one kind, which is twice the images a step. Downstream: ${BUDGET.steps} steps of ${BUDGET.batchSize} images for every arm, the
same augmentation, head prior N(0, ${HEAD_VARIANCE}), momentum ${MOMENTUM}, eps ${EPS}. "mean, no prior" starts from the prior's mean and is not held to it.
272 test images (standard error about 3); mean and standard deviation over ${SEEDS.length} seeds (subset, head, order; from scratch also the first weights). Each
source was learned once: the spread does not tell how another prior of the same source would do. Learning rate and scale were
chosen by NLL on 170 other training images, eight settings an arm. The last two of each were added when the test images had
been used once with the best of the first six: the largest scale had been the best of both priors.

${renderRows(log.rows, chosen)}`;
  await Deno.writeTextFile(RESULTS, page);
  console.log(page);
}
