/**
 * What each objective without labels makes of a small backbone: accuracy of 20 nearest neighbours and of a linear
 * classifier on CIFAR-10 by epoch, at equal budget and settings. Writes `results/ssl.md`:
 *
 * `deno run -A tests/bench/ssl.ts [--short | --long] [objective ...]`
 *
 * With `--short` objectives have the settings that suit so short a run, and `results/ssl_short.md` is written; with `--long`
 * those that learn from a momentum network alone have four times as many epochs, and `results/ssl_long.md` is.
 *
 * It needs `../shared/data` beside the project and two to three minutes for ten epochs of an objective on two CPU cores.
 * Objectives that are done are kept in `runs`, so that a stopped bench goes on.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import type { ImageSet } from "../../lib/data/dataset.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import type { FeatureEvaluation } from "../../lib/inference/features.ts";
import { learnSelfSupervised } from "../../lib/inference/objectives/learn.ts";
import { OBJECTIVE_NAMES, objectiveOf } from "../../lib/inference/objectives/objectives.ts";
import { pretraining } from "../../lib/inference/pretraining.ts";
import { constantSwag } from "../../lib/inference/swag_schedules.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { VIEW } from "./ssl_view.ts";

const DATA = new URL("../../../shared/data/cifar10", import.meta.url).pathname;
const ENCODER = "resnet8_narrow";
const BATCH = 128, LEARNING_RATE = 0.004, MEASUREMENTS = 5;
const STEPS_PER_EPOCH = Math.floor(4000 / BATCH);
/** Of objectives that have them; all else is the original system's. */
const SIZES: Readonly<Record<string, number>> = {
  projHidden: 256,
  projOut: 64,
  predHidden: 64,
  queueSize: 1024,
  prototypes: 128,
  whiteningSize: BATCH,
};

/** A run of one length and kind. */
interface Mode {
  /** Name of its results. */
  readonly file: string;
  readonly title: string;
  readonly epochs: number;
  /** Objectives, and their settings that are not the original system's. */
  readonly settings: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** What is said of settings and of what they came to. */
  readonly remarks: readonly string[];
  /** What is said of the losses. */
  readonly ofLosses: readonly string[];
  /** Whether the classifier that is trained along is shown. */
  readonly online: boolean;
}

const USUAL: Mode = {
  file: "ssl",
  title: "",
  epochs: 10,
  settings: Object.fromEntries(OBJECTIVE_NAMES.map((name) => [name, {}])),
  remarks: [
    "and a cosine; two views of one kind; the objectives' own temperatures and weights; one seed. Settings are not tuned for",
    "any of them, and this is a tenth of the epochs and a hundredth of the network that they are made for: it shows what",
    "each makes of little, not which is best. A difference of less than about 4 may be chance.",
    "So neither table shows that byol, dino, nnbyol, swav and wmse learn here; the last loss of dino is near log 128, that of equal",
    "prototypes: the momentum network has hardly moved by then. With settings for so short a run: [ssl_short.md](ssl_short.md). On",
    "the built-in task each objective is measured with settings of its own, and the test states the margin",
    "(`tests/inference/objectives/learning_test.ts`). Over four times the epochs byol, dino, nnbyol and swav do: [ssl_long.md](ssl_long.md).",
    "swav's queue would begin in epoch 15.",
  ],
  ofLosses: [
    "That of deepclusterv2 is 0 in its first epoch, which",
    "fills its memory and has no clusters yet, as in the original system: it learns for nine of the ten. The paper's authors",
    "fill the memory before they train.",
  ],
  online: false,
};

/**
 * For a run of 310 steps: a momentum network that moves in them, a queue that begins in them, few whitened numbers. The
 * original system's are for a hundred times as many.
 */
const SHORT: Mode = {
  file: "ssl_short",
  title: ": settings for a short run",
  epochs: 10,
  settings: {
    byol: { baseMomentum: 0.9 },
    dino: { baseMomentum: 0.9, targetTemperature: 0.04 },
    nnbyol: { baseMomentum: 0.9 },
    swav: { queueStart: 3 },
    wmse: { projOut: 16, whiteningSize: 64 },
  },
  remarks: [
    "and a cosine; two views of one kind; one seed. Of the settings of [ssl.md](ssl.md), which are the original system's and meant",
    "for a hundred times as many steps, these differ: a share of 0.9 of a momentum network's weights stays at first (byol, dino,",
    "nnbyol), the final target temperature is 0.04 (dino), the queue begins in epoch 3 (swav), and projections of 16 numbers are",
    "whitened in parts of 64 rows (wmse). A difference of less than about 4 may be chance.",
    "wmse gains more than that by either classifier, swav by the linear one; byol, dino and nnbyol do not.",
  ],
  ofLosses: [],
  online: true,
};

/** For those that 310 steps are too few for. */
const LONG: Mode = {
  file: "ssl_long",
  title: ": a longer run",
  epochs: 40,
  settings: {
    byol: { baseMomentum: 0.97 },
    nnbyol: { baseMomentum: 0.97 },
    dino: { baseMomentum: 0.97 },
    swav: { queueStart: 5 },
  },
  remarks: [
    "and a cosine; two views of one kind; one seed. Of the settings of [ssl.md](ssl.md) these differ: a share of 0.97 of a momentum",
    "network's weights stays at first (byol, dino, nnbyol), the queue begins in epoch 5 (swav). A difference of less than about 4",
    "may be chance: all gain more than that by either classifier.",
  ],
  ofLosses: [],
  online: true,
};

const flags = parseArgs(Deno.args, { boolean: ["short", "long"] });
const MODE = flags.short ? SHORT : flags.long ? LONG : USUAL;
const EVERY = MODE.epochs / MEASUREMENTS;
const LOG = `runs/${MODE.file}.jsonl`, RESULTS = new URL(`results/${MODE.file}.md`, import.meta.url);

/** What an objective came to. */
interface Curve {
  readonly objective: string;
  readonly adapter: string;
  readonly losses: { readonly first: number; readonly last: number };
  readonly points: readonly (FeatureEvaluation & { readonly steps: number })[];
}

async function learn(gpu: Gpu, name: string, train: ImageSet, val: ImageSet): Promise<Curve> {
  const model = { encoder: ENCODER, numClasses: 10, height: 32, width: 32 };
  const given = Object.entries(SIZES).filter(([key]) => Object.hasOwn(objectiveOf(name).defaults, key));
  const points: Curve["points"][number][] = [], losses: number[] = [];
  const steps = MODE.epochs * STEPS_PER_EPOCH;
  await learnSelfSupervised(gpu, {
    model,
    weights: initialWeights(layoutModel(model), 1),
    train,
    objective: name,
    settings: { ...Object.fromEntries(given), ...MODE.settings[name] },
    views: [[VIEW, VIEW]],
    batchSize: BATCH,
    normalisation: NORMALISATIONS.cifar10,
    // SWAG wants two snapshots, which are not measured here.
    schedule: pretraining(
      { learningRate: LEARNING_RATE, steps, warmup: STEPS_PER_EPOCH },
      constantSwag({ learningRate: 0, steps: 2 }),
    ),
    optimiser: { optimiser: "adamw", momentum: 0.9, weightDecay: 1e-4 },
    seed: 1,
    evaluation: { val, every: EVERY * STEPS_PER_EPOCH },
    hooks: {
      onMetrics: (metrics) => void losses.push(...metrics.map(({ loss }) => loss)),
      onEvaluation(evaluation) {
        points.push(evaluation);
        console.log(name, evaluation);
      },
    },
  });
  return {
    objective: name,
    adapter: gpu.adapter.description || gpu.adapter.device,
    losses: { first: losses[0], last: losses[steps - 1] },
    points,
  };
}

async function readLog(): Promise<Curve[]> {
  const text = await Deno.readTextFile(LOG).catch(() => "");
  const curves: Curve[] = text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  return OBJECTIVE_NAMES.flatMap((name) => curves.filter(({ objective }) => objective === name));
}

function render(curves: readonly Curve[]): string {
  const percent = (value: number) => (100 * value).toFixed(1);
  const epochs = Array.from({ length: MEASUREMENTS + 1 }, (_, i) => i * EVERY);
  const table = (what: "knn" | "linear" | "online") => [
    `| objective | ${epochs.map((epoch) => `epoch ${epoch}`).join(" | ")} |`,
    `|---|${epochs.map(() => "--:").join("|")}|`,
    ...curves.map(({ objective, points }) =>
      `| ${objective} | ${points.map((point) => percent(point[what] ?? NaN)).join(" | ")} |`
    ),
  ];
  return [
    `# Objectives without labels, by what can be read off the features${MODE.title}`,
    "",
    `Written by \`tests/bench/ssl.ts\` on ${[...new Set(curves.map(({ adapter }) => adapter))].join(", ")}.`,
    `${ENCODER} from scratch on the first 4,000 training images of CIFAR-10; accuracy in % on the first 1,000 test images`,
    `(standard error about 1.5). ${MODE.epochs} epochs of batches of ${BATCH}, AdamW at ${LEARNING_RATE} with a warm-up of one epoch`,
    ...MODE.remarks,
    "",
    "## 20 nearest neighbours",
    "",
    ...table("knn"),
    "",
    "## Linear classifier",
    "",
    ...table("linear"),
    "",
    ...MODE.online ? ["## Linear classifier that is trained along", "", ...table("online"), ""] : [],
    "## Losses",
    "",
    ["Of the first and the last step; no two objectives' are comparable.", ...MODE.ofLosses.slice(0, 1)].join(" "),
    ...MODE.ofLosses.slice(1),
    "",
    "| objective | first loss | last loss |",
    "|---|--:|--:|",
    ...curves.map(({ objective, losses }) =>
      `| ${objective} | ${losses.first.toFixed(3)} | ${losses.last.toFixed(3)} |`
    ),
    "",
  ].join("\n");
}

const asked = flags._.map(String), names = asked.length > 0 ? asked : Object.keys(MODE.settings);
const [train, val] = await Promise.all(
  (["train", "val"] as const).map((split) => loadDataset({ name: "cifar10", split, dir: DATA })),
);
await Deno.mkdir("runs", { recursive: true });
using gpu = await openGpu();
for (const name of names) {
  if ((await readLog()).some(({ objective }) => objective === name)) continue;
  const curve = await learn(gpu, name, train, val);
  await Deno.writeTextFile(LOG, JSON.stringify(curve) + "\n", { append: true });
  await Deno.writeTextFile(RESULTS, render(await readLog()));
}
