/**
 * What data cost: the share of a CIFAR step that waits for its batch, images a second that threads make of JPEG files
 * with and without the cache of decoded images, and the time to hash files. Writes `results/data.md`:
 *
 * `python3 tests/bench/data_images.py runs/data_images 256; deno run -A tests/bench/data.ts runs/data_images`
 *
 * It needs `../shared/data` beside the project, an otherwise idle machine and about two minutes on two CPU cores.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import type { View } from "../../lib/data/augmentation/view.ts";
import { viewBatches } from "../../lib/data/augmentation/views.ts";
import { type BatchOptions, deviceAugmentation, trainingBatches } from "../../lib/data/training_batches.ts";
import { describeContents } from "../../lib/data/file_contents.ts";
import { openImageFolder } from "../../lib/data/file_stream.ts";
import type { ImageSource, ImageStream } from "../../lib/data/dataset.ts";
import type { Fit } from "../../lib/data/fit.ts";
import { listImageFolder } from "../../lib/data/image_folder.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { Renderer } from "../../lib/data/render.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { type BatchSource, type Steppable, trainSteps } from "../../lib/inference/loop.ts";
import { objectiveOf } from "../../lib/inference/objectives/objectives.ts";
import { layoutObjective, SelfSupervisedSession } from "../../lib/inference/objectives/session.ts";
import { constant } from "../../lib/inference/schedules.ts";
import { TrainingSession } from "../../lib/inference/training.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { initialHead } from "../../lib/models/initial_head.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { sharedPixelCache } from "../../tasks/pixel_cache/shared.ts";
import { inputRows } from "./stream_input.ts";

const CIFAR = new URL("../../../shared/data/cifar10", import.meta.url).pathname;
const RESULTS = new URL("results/data.md", import.meta.url);
const BATCH = 64;
const STEPS = 20;
const ROUNDS = 3;
const STATES = ["no cache", "empty cache", "full cache"] as const;

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [heads, heads.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** Seconds that some steps take, and seconds of them that the loop waits for batches. */
async function timeSteps<B, M>(session: Steppable<B, M>, batches: BatchSource<B>, steps: number) {
  let waited = 0;
  const timed = {
    async batchAt(step: number) {
      const start = performance.now();
      const batch = await batches.batchAt(step);
      waited += (performance.now() - start) / 1000;
      return batch;
    },
  };
  const schedule = constant({ learningRate: 1e-3, steps: 3 + steps, samples: 1 });
  await trainSteps(session, timed, schedule, {}, { until: 3 });
  waited = 0;
  const start = performance.now();
  await trainSteps(session, timed, schedule, {}, { from: 3 });
  return { seconds: (performance.now() - start) / 1000, waited };
}

/** Times steps of ResNet-20 by labels. */
async function timeLabels(gpu: Gpu, train: ImageSource, options: BatchOptions) {
  const model = new DeviceModel(gpu, configOf(train));
  model.write(initialWeights(model.layouts, 1));
  const settings = { sampler: "sgd", momentum: 0.9, temperature: 0, numData: 1000, priorStep: "explicit" } as const;
  using batches = trainingBatches(train, options);
  const session = await TrainingSession.create(model, {
    batchSize: options.batchSize,
    normalisation: NORMALISATIONS.imagenet,
    augmentation: batches.augmentation,
    settings,
    seed: 1,
  });
  const times = await timeSteps(session, batches, STEPS);
  session.destroy();
  model.destroy();
  return times;
}

/** SimCLR's view, with everything that a view can go through on the device. */
const VIEW: View = {
  height: 32,
  width: 32,
  resize: { kind: "random-resized-crop", scale: [0.08, 1], ratio: [3 / 4, 4 / 3], filter: "bicubic" },
  horizontalFlip: 0.5,
  jitter: { probability: 0.8, brightness: 0.8, contrast: 0.8, saturation: 0.8, hue: 0.2 },
  grey: 0.2,
  blur: { probability: 0.5, kernel: 3, sigma: [0.1, 2] },
  solarise: { probability: 0.1, threshold: 0.5 },
};

/** Times steps of ResNet-20 by two views of each image. */
async function timeViews(gpu: Gpu, train: ImageSource, options: BatchOptions) {
  using batches = viewBatches(train, [[VIEW, VIEW]], options);
  const config = configOf(train), objective = objectiveOf("simclr");
  const network = {
    model: config,
    objective,
    settings: objective.defaults,
    views: [[VIEW, VIEW]],
    batchSize: batches.batchSize,
    stepsPerEpoch: batches.stepsPerEpoch,
    normalisation: NORMALISATIONS.imagenet,
  };
  const layouts = layoutObjective(network, gpu.maxBindingBytes), model = new DeviceModel(gpu, config, layouts);
  const { backbone } = initialWeights(layoutModel(config), 1);
  model.write({ backbone, head: initialHead(layouts.head, 1), state: new Float32Array(layouts.state.count).fill(1) });
  const optimiser = { optimiser: "sgd", momentum: 0.9, weightDecay: 0 } as const;
  const session = await SelfSupervisedSession.create(model, { ...network, optimiser, steps: 3 + STEPS, seed: 1 });
  const times = await timeSteps(session, batches, STEPS);
  session.destroy();
  model.destroy();
  return times;
}

const configOf = ({ height, width }: ImageSource) => ({ encoder: "resnet20", numClasses: 10, height, width });

async function cifarTable(gpu: Gpu): Promise<string> {
  const train = await loadDataset({ name: "cifar10", split: "train", dir: CIFAR });
  const rows: (string | number)[][] = [];
  const row = (name: string, { seconds, waited }: { seconds: number; waited: number }) => {
    rows.push([
      name,
      (1000 * seconds / STEPS).toFixed(1),
      (1000 * waited / STEPS).toFixed(2),
      `${(100 * waited / seconds).toFixed(2)} %`,
      Math.round(STEPS * BATCH / waited),
    ]);
  };
  const options = { batchSize: BATCH, seed: 1 };
  for (const name of ["none", "crop", "resized-crop"] as const) {
    row(name, await timeLabels(gpu, train, { ...options, augmentation: AUGMENTATIONS[name] }));
  }
  row("SimCLR: two views, cut on the device", await timeViews(gpu, train, options));
  return table(["augmentation", "step, ms", "of it for data, ms", "share", "images/s that data allow"], rows);
}

/** What threads make of a stream: images a second after the first batch, in which they start, and the last bytes. */
interface Loaded {
  readonly rate: number;
  readonly pixels: Uint8Array;
  readonly decoded: number;
}

async function timeLoader(stream: ImageStream, augmentation: Augmentation, threads: number): Promise<Loaded> {
  using renderer = new Renderer(stream, threads);
  const { sourceSize = stream } = deviceAugmentation(stream, augmentation), count = stream.labels.length;
  const images = new Uint8Array(BATCH * sourceSize.height * sourceSize.width * 3);
  let start = 0, bytes = 0;
  for (let first = 0; first < count; first += BATCH) {
    if (first === BATCH) start = performance.now();
    const keys = Array.from({ length: Math.min(BATCH, count - first) }, (_, row) => first + row);
    bytes = await renderer.render(keys.map((example) => ({ seed: 1, epoch: 0, example })), augmentation, { images });
  }
  const seconds = (performance.now() - start) / 1000;
  return { rate: (count - BATCH) / seconds, pixels: images.subarray(0, bytes), decoded: renderer.decoded };
}

async function loaderTable(root: string): Promise<string> {
  const cases: readonly (readonly [string, Fit, Augmentation])[] = [
    ["evaluation: 256, centre 224, bicubic", RECIPES.imagenet.fit(224), AUGMENTATIONS.none],
    ["flip of the same", RECIPES.imagenet.fit(224), AUGMENTATIONS.flip],
    ["random resized crop of the whole image", RECIPES.imagenet.fit(224), AUGMENTATIONS["resized-crop"]],
    ["flowers: squash 230, rotation, crop", { size: 224, resize: "squash" }, RECIPES.oxford102flowers.augmentation],
  ];
  const rows: (string | number)[][] = [];
  for (const [name, fit, augmentation] of cases) {
    for (const threads of [1, 2]) {
      const rates: number[][] = [[], [], []];
      for (let round = 0; round < ROUNDS; round++) {
        const cacheDir = await Deno.makeTempDir();
        const results: Loaded[] = [];
        for (const [state, of] of STATES.entries()) {
          const cache = of === "no cache" ? undefined : sharedPixelCache({ cacheDir, cacheSize: 1 });
          const stream = await openImageFolder(root, { name: "images", fit, cache });
          const result = await timeLoader(stream, augmentation, threads);
          if (result.decoded !== (of === "full cache" ? 0 : stream.labels.length)) throw new Error(`${of}: decoded`);
          rates[state].push(result.rate);
          results.push(result);
        }
        if (!results.every(({ pixels }) => pixels.every((byte, i) => byte === results[0].pixels[i]))) {
          throw new Error(`${name}: the bytes differ`);
        }
        await Deno.remove(cacheDir, { recursive: true });
      }
      const [none, empty, full] = rates.map(median);
      rows.push([name, threads, ...[none, empty, full].map(Math.round), (full / none).toFixed(1)]);
    }
  }
  return table(["treatment", "threads", ...STATES.map((state) => `${state}, images/s`), "full / none"], rows);
}

async function hashLine(root: string): Promise<string> {
  const { paths } = await listImageFolder(root, {});
  const files = paths.map((path) => ({ path, size: Deno.statSync(path).size }));
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    for (let pass = 0; pass < 10; pass++) describeContents(files);
    return (performance.now() - start) / 1000;
  });
  const rate = 10 * bytes / median(times);
  return `${(rate / 1e6).toFixed(0)} MB/s of ${files.length} files of ${
    (bytes / files.length / 1000).toFixed(0)
  } KB that ` +
    `the system holds in memory: ${(0.33e9 / rate).toFixed(1)} s for Oxford flowers (0.33 GB), ` +
    `${(4 * 2 ** 30 / rate).toFixed(1)} s for 4 GiB; by that rate, ${
      (145e9 / rate).toFixed(0)
    } s for ImageNet (145 GB), which a ` +
    `disk of 200 MB/s would make ${(145e9 / 200e6 / 60).toFixed(0)} minutes: reckoned, not measured`;
}

/** Rows of the revision before the device augmented streams: 39a7bc4's parent, by `stream_input.ts`. */
const BEFORE = `\
| STL-10, 96 pixels: random resized crop | before | 2144 | 0.45 | 0.17 | 1.8 |
| JPEG, no cache: random resized crop | before | 137 | 7.18 | 0.97 | 9.6 |
| JPEG, full cache: random resized crop | before | 355 | 2.84 | 0.92 | 9.6 |
| JPEG, full cache: flowers | before | 1058 | 0.94 | 0.87 | 9.6 |`;

const root = `${Deno.args[0]}/train`;
using gpu = await openGpu();
const { paths } = await listImageFolder(root, {}), count = paths.length;
const kilobytes = Math.round(paths.reduce((sum, path) => sum + Deno.statSync(path).size, 0) / count / 1000);
const text = `# Data

\`deno run -A tests/bench/data.ts\`, ${new Date().toISOString().slice(0, 10)}, ${gpu.adapter.description}, \
${navigator.hardwareConcurrency} CPU cores. Nothing here comes from a GPU.

## CIFAR-10 in memory: what a training step waits for its batch

ResNet-20, batches of ${BATCH}, ${STEPS} steps after 3. Batches are made on the main thread while the device works on the \
steps before; the time is that of making them, without their upload. Here the device is the same CPU, so the share says \
little of a GPU; the last column, of this CPU, does: data hold back a device that trains faster than that. Of views, \
which the device makes, the host copies the images and draws the parameters.

${await cifarTable(gpu)}

## Streams: from files to the first activation

The batches of ${BATCH} of a training run: images a second that one thread delivers, and CPU time that an image takes, on \
the host (the thread and the main one) and on the device, which is the same CPU, from a batch's bytes to its first \
activation. A random resized crop goes up as its box, which the device resizes; flowers as images of 230 pixels, which it \
turns and cuts. Median of ${ROUNDS} rounds of 4 epochs. "Before" is the revision in which threads did all of that, by the \
same loop. A thread delivers more; where a CPU is the device, work is moved and none is saved: compare the sums. No GPU was measured.

| stream | revision | thread, images/s | host, CPU ms an image | device, CPU ms an image | MB a batch |
| --- | --- | --- | --- | --- | --- |
${BEFORE}
${await inputRows(gpu, root, "now")}

## JPEG files of one size: images a second that threads deliver at 224 pixels

${count} files of 500 x 375 pixels, noise with a photograph's spectrum, ${kilobytes} KB each (\`data_images.py\`), in batches \
of ${BATCH}; files and cache are in the system's memory. Decoding, fitting and cutting alone: no network runs beside it, so \
evaluation and training get that much faster only where they wait for images. Neither ImageNet's files, of many sizes, nor \
a disk were measured. Median of ${ROUNDS} rounds; the three states take turns and give the same bytes. A full cache holds the image as it is before anything random: 224 or 230 pixels square, or whole where a \
random part is cut out.

${await loaderTable(root)}

## Hashing the files of a stream

${await hashLine(root)}.

So a set up to 4 GiB is hashed whole when it is opened, and of a larger one every second, third, ... file.
`;
await Deno.writeTextFile(RESULTS, text);
console.log(text);
