/**
 * Mixed precision against f32: accuracy, memory and step time. Writes `results/mixed_precision.md`:
 *
 * `deno run -A tests/bench/mixed_precision.ts`
 *
 * It needs `../shared/data` beside the project, an otherwise idle machine and about five minutes on two CPU cores.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { readSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { proceduralDownstream } from "../../lib/data/procedural.ts";
import { computeMetrics, type Metrics } from "../../lib/evaluation/metrics.ts";
import { softmax } from "../../lib/evaluation/softmax.ts";
import { type Gpu, type KernelSchedule, openGpu } from "../../lib/gpu/device.ts";
import { samplePosterior } from "../../lib/inference/chain.ts";
import { averagePredictions, PredictionSession } from "../../lib/inference/prediction.ts";
import { cosine, cyclical } from "../../lib/inference/schedules.ts";
import { type Precision, type TrainingOptions, TrainingSession } from "../../lib/inference/training.ts";
import { estimateMemory } from "../../lib/inference/training_step.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { isotropic } from "../../lib/priors/gaussian.ts";
import { spread } from "../../tasks/demo/spread.ts";

const SHARED = new URL("../../../shared/data/", import.meta.url).pathname;
const RESULTS = new URL("results/mixed_precision.md", import.meta.url);
const PRECISIONS: readonly Precision[] = ["f32", "mixed"];
const SEEDS = [1, 2, 3];
/** Steps of a timing; the first ones warm up. */
const TIMED_STEPS = 9, WARM_UP = 2;
/** Narrow enough that 60 steps of a sampler at temperature 1 stay near the checkpoint. */
const PRIOR_VARIANCE = 1e-4;
const normalisation = NORMALISATIONS.imagenet;

function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [heads, heads.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

const spreadOf = (values: readonly number[], digits: number) => {
  const { mean, std } = spread(values);
  return `${mean.toFixed(digits)} ± ${std.toFixed(digits)}`;
};

/** The published ResNet-20 on CIFAR-10's first test images. */
async function evaluatePublished(gpu: Gpu): Promise<string> {
  const set = await loadDataset({ name: "cifar10", split: "test", dir: `${SHARED}cifar10` });
  const path = `${SHARED}checkpoints/resnet20-12fca82f.th`;
  const model = new DeviceModel(gpu, { encoder: "resnet20", numClasses: 10, height: 32, width: 32 });
  const dict = await readCheckpoint(await Deno.readFile(path), path);
  model.write(weightsFromStateDict(model.layouts, dict, { head: "require", seed: 0 }));
  const logits: Float32Array[] = [];
  for (const precision of PRECISIONS) {
    const session = await PredictionSession.create(model, { batchSize: 100, normalisation, precision });
    logits.push(await session.logits(set));
    session.destroy();
  }
  model.destroy();
  const rows = logits.map((values, i) => {
    const { accuracy, nll, ece } = computeMetrics(softmax(values, 10), set.labels);
    return [PRECISIONS[i], (100 * accuracy).toFixed(2), nll.toFixed(5), ece.toFixed(4)];
  });
  const [exact, mixed] = logits;
  const norm = (values: Float32Array) => Math.hypot(...values);
  const relative = norm(mixed.map((value, i) => value - exact[i])) / norm(exact);
  const winner = (values: Float32Array, i: number) => {
    const row = values.subarray(10 * i, 10 * i + 10);
    return row.indexOf(Math.max(...row));
  };
  let changed = 0;
  set.labels.forEach((_, i) => changed += winner(mixed, i) === winner(exact, i) ? 0 : 1);
  return `${table(["precision", "accuracy, %", "NLL, nats", "ECE"], rows)}

The logits differ by ${
    relative.toExponential(1)
  } of their norm; ${changed} of ${set.labels.length} images are classified otherwise.`;
}

/** What a training run came to. */
interface Outcome {
  readonly metrics: Metrics;
  readonly loss: number;
  readonly skipped: number;
}

/** Trains or samples from the demo's checkpoint on 100 labels. */
async function train(gpu: Gpu, precision: Precision, seed: number, sampler: "sgd" | "sghmc"): Promise<Outcome> {
  const set = proceduralDownstream({ seed, perClass: 10, split: "train" });
  const test = proceduralDownstream({ seed, perClass: 50, split: "test" });
  const { height, width, classNames } = set;
  const model = { encoder: "resnet8", numClasses: classNames.length, height, width };
  const file = await Deno.readFile(new URL("../../tasks/demo/resnet8.safetensors", import.meta.url));
  const weights = weightsFromStateDict(layoutModel(model), readSafetensors(file).tensors, { head: "fresh", seed });
  const steps = 60;
  let loss = NaN, skipped = 0;
  const samples = await samplePosterior(gpu, {
    model,
    weights,
    train: set,
    batchSize: 20,
    normalisation,
    augmentation: AUGMENTATIONS.crop,
    seed,
    precision,
    prior: isotropic(weights.backbone, PRIOR_VARIANCE),
    headVariance: 1,
    schedule: sampler === "sgd"
      ? cosine({ learningRate: 0.02, steps, samples: 1 })
      : cyclical({ learningRate: 0.02, steps, cycles: 2, samples: 4 }),
    settings: { sampler, momentum: 0.9, temperature: 1, numData: set.labels.length, priorStep: "implicit" },
  }, {
    onMetrics(metrics) {
      loss = metrics.at(-1)!.loss;
      skipped = metrics.at(-1)!.skippedSteps ?? 0;
    },
  });
  const members = samples.map((sample) => sample.weights);
  const average = await averagePredictions(gpu, model, members, test, { batchSize: 100, normalisation, precision });
  return { metrics: computeMetrics(average.probabilities(), test.labels), loss, skipped };
}

async function trainingTable(gpu: Gpu): Promise<string> {
  const rows = [];
  for (const sampler of ["sgd", "sghmc"] as const) {
    for (const precision of PRECISIONS) {
      const outcomes: Outcome[] = [];
      for (const seed of SEEDS) outcomes.push(await train(gpu, precision, seed, sampler));
      rows.push([
        sampler,
        precision,
        spreadOf(outcomes.map(({ metrics }) => 100 * metrics.accuracy), 1),
        spreadOf(outcomes.map(({ metrics }) => metrics.nll), 4),
        spreadOf(outcomes.map(({ loss }) => loss), 4),
        outcomes.map(({ skipped }) => skipped).join(", "),
      ]);
    }
  }
  return table(["sampler", "precision", "accuracy, %", "NLL, nats", "last training loss", "steps skipped"], rows);
}

/** Options of a step that is planned or timed. */
function stepOptions(batchSize: number, precision: Precision, recompute = false): TrainingOptions {
  const settings = { sampler: "sgd", momentum: 0.9, temperature: 0, numData: 1000, priorStep: "explicit" } as const;
  return { batchSize, normalisation, settings, seed: 1, precision, recompute };
}

function memoryTable(gpu: Gpu): string {
  const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  const networks = [["resnet20", 128, 32], ["resnet18", 32, 224], ["resnet50", 32, 224]] as const;
  const rows = networks.flatMap(([encoder, batch, side]) =>
    [false, true].map((recompute) => {
      const config = { encoder, numClasses: 1000, height: side, width: side };
      const [exact, mixed] = PRECISIONS.map((precision) =>
        estimateMemory(gpu, config, stepOptions(batch, precision, recompute))
      );
      return [
        encoder,
        batch,
        recompute ? "yes" : "no",
        mebibytes(exact.activations),
        mebibytes(mixed.activations),
        (mixed.activations / exact.activations).toFixed(2),
        (mixed.total / exact.total).toFixed(2),
      ];
    })
  );
  return table(
    ["network", "batch", "`--recompute`", "activations f32, MiB", "mixed, MiB", "ratio", "ratio of all memory"],
    rows,
  );
}

/** Median seconds of a step at each precision, the steps of both in turns. */
async function timeSteps(schedule: KernelSchedule, encoder: string, batch: number, side: number): Promise<number[]> {
  using gpu = await openGpu({ schedule });
  const config = { encoder, numClasses: 10, height: side, width: side };
  const images = new Uint8Array(batch * side * side * 3).map((_, i) => (i * 7919) >> 3);
  const labels = new Uint32Array(batch).map((_, i) => i % 10);
  const runs = [];
  for (const precision of PRECISIONS) {
    const model = new DeviceModel(gpu, config);
    model.write(initialWeights(model.layouts, 1));
    runs.push({ session: await TrainingSession.create(model, stepOptions(batch, precision)), times: [] as number[] });
  }
  for (let step = 0; step < TIMED_STEPS; step++) {
    for (const { session, times } of runs) {
      const start = performance.now();
      session.submit(step, { images, labels }, 1e-3, false);
      await session.metrics();
      if (step >= WARM_UP) times.push((performance.now() - start) / 1000);
    }
  }
  return runs.map(({ times }) => times.sort((a, b) => a - b)[times.length >> 1]);
}

async function timeTable(): Promise<string> {
  const rows = [];
  const cases = [
    ["cpu", "resnet20", 64, 32],
    ["cpu", "resnet50", 4, 64],
    ["gpu", "resnet20", 8, 32],
  ] as const;
  for (const [schedule, encoder, batch, side] of cases) {
    const [exact, mixed] = await timeSteps(schedule, encoder, batch, side);
    rows.push([encoder, batch, side, schedule, exact.toFixed(3), mixed.toFixed(3), (mixed / exact).toFixed(2)]);
  }
  return table(["network", "batch", "image", "`--kernel-schedule`", "f32, s", "mixed, s", "mixed / f32"], rows);
}

using gpu = await openGpu();
const text = `# Mixed precision

\`deno run -A tests/bench/mixed_precision.ts\`, ${new Date().toISOString().slice(0, 10)}, ${gpu.adapter.description}.

Under \`--precision mixed\` outputs of operations and their gradients are stored as f16, two to a word, and the loss is
scaled; arithmetic, parameters, their gradients, statistics and logits are f32.

## Accuracy: ResNet-20 with the published CIFAR-10 weights, first 1,000 test images

${await evaluatePublished(gpu)}

## Accuracy: 60 steps on 100 labels of the procedural task, from the demo's checkpoint, isotropic prior

Test metrics on 500 images; mean ± standard deviation over seeds ${SEEDS.join(", ")}.

${await trainingTable(gpu)}

## Memory that a training step plans

${memoryTable(gpu)}

## Step time

Median of ${TIMED_STEPS - WARM_UP} steps, f32 and mixed in turns, on a CPU: nothing here says how a GPU does.

${await timeTable()}
`;
await Deno.writeTextFile(RESULTS, text);
console.log(text);
