/**
 * From files to a network's first activation: images a second of streams, on threads and device together. Part of
 * `data.ts`.
 *
 * @module
 */

import process from "node:process";
import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import { PLACEMENT_PARAMETERS, planPlacements } from "../../lib/data/augmentation/placements.ts";
import type { WeightTable } from "../../lib/data/augmentation/table.ts";
import type { ImageStream } from "../../lib/data/dataset.ts";
import { openImageFolder } from "../../lib/data/file_stream.ts";
import type { Fit } from "../../lib/data/fit.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { openStl10, STL10_SIZE } from "../../lib/data/stl10.ts";
import { type TrainingBatches, trainingBatches } from "../../lib/data/training_batches.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { Graph, lowerForward } from "../../lib/graph/graph.ts";
import { compile, type ModelVectors } from "../../lib/graph/program.ts";
import { normaliseImages } from "../../lib/ops/images.ts";
import { type Operation, targetOf, type Tensor } from "../../lib/ops/operation.ts";
import { placeImages } from "../../lib/ops/place_images.ts";
import { sizeOf } from "../../lib/tensor.ts";
import { sharedPixelCache } from "../../tasks/pixel_cache/shared.ts";

const BATCH = 64;
const ROUNDS = 3;

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** What makes the first activation, and the buffers that it reads. */
class Input {
  readonly graph: Graph = new Graph();
  readonly buffers: Map<Tensor, GPUBuffer> = new Map();
  readonly images: Tensor;
  readonly placements: Tensor;
  readonly output: Tensor;
  readonly #gpu: Gpu;

  constructor(gpu: Gpu, stream: ImageStream, batches: TrainingBatches) {
    this.#gpu = gpu;
    const { sourceSize = stream, augmentation, batchSize } = batches;
    this.images = this.#external("images", [batchSize, sourceSize.height, sourceSize.width, 3], 1);
    this.placements = this.#external("placements", [batchSize, PLACEMENT_PARAMETERS]);
    const colours = this.#external("colours", [6]);
    this.output = this.graph.apply(
      augmentation === undefined
        ? normaliseImages("input", this.images, colours)
        : this.#placing(stream, colours, augmentation, sourceSize),
    );
  }

  #placing(
    { height, width }: ImageStream,
    colours: Tensor,
    augmentation: Augmentation,
    source: NonNullable<TrainingBatches["sourceSize"]>,
  ): Operation {
    const { resize, rotate } = planPlacements(augmentation, { height, width }, source);
    const axis = (name: string, { shape, values, firstFrom }: WeightTable) => {
      const weights = this.#external(name, shape);
      this.#gpu.device.queue.writeBuffer(this.buffers.get(weights)!, 0, values);
      return { weights, firstFrom };
    };
    return placeImages("input", this.images, this.placements, colours, {
      size: { height, width },
      resize: resize && { horizontal: axis("columns", resize.horizontal), vertical: axis("rows", resize.vertical) },
      packed: source.packed,
      rotate,
    });
  }

  #external(name: string, shape: readonly number[], bytes = 4): Tensor {
    const tensor = this.graph.external(name, shape);
    this.buffers.set(tensor, this.#gpu.createBuffer(name, sizeOf(shape) * bytes));
    return tensor;
  }
}

/** What a stream's first activations take. */
interface InputTimes {
  /** Images a second that threads deliver, after the first batch. */
  readonly rate: number;
  /** Milliseconds of a CPU's time that an image takes, on threads and on the main one. */
  readonly host: number;
  /** The same of the device, from the batch's upload on. */
  readonly device: number;
  /** Megabytes that the device gets of a batch's images. */
  readonly megabytes: number;
}

/** Milliseconds of CPUs' time that this process has had. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Makes the first activations of a few epochs, threads and device each by itself. */
async function timeInput(
  gpu: Gpu,
  stream: ImageStream,
  options: { readonly batchSize: number; readonly augmentation: Augmentation; readonly epochs: number },
): Promise<InputTimes> {
  using batches = trainingBatches(stream, { ...options, seed: 1 });
  const steps = options.epochs * batches.stepsPerEpoch, images = (steps - 1) * batches.batchSize;
  let start = 0, cpu = 0, bytes = 0;
  for (let step = 0; step < steps; step++) {
    bytes += (await batches.batchAt(step)).images.length;
    if (step === 0) [start, cpu] = [performance.now(), cpuTime()];
  }
  const rate = images / (performance.now() - start) * 1000, host = (cpuTime() - cpu) / images;
  return { rate, host, device: await timeDevice(gpu, stream, batches), megabytes: bytes / steps / 1e6 };
}

async function timeDevice(gpu: Gpu, stream: ImageStream, batches: TrainingBatches): Promise<number> {
  const { graph, buffers, images, placements, output } = new Input(gpu, stream, batches);
  const program = await compile(gpu, lowerForward(graph, targetOf(gpu, { training: true })), {
    label: "input",
    vectors: {} as ModelVectors,
    externals: buffers,
    keep: [output],
  });
  const batch = await batches.batchAt(0), times: number[] = [];
  // The batch behind it is decoded meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  for (let run = 0; run < 9; run++) {
    const start = cpuTime();
    gpu.writeBytes(buffers.get(images)!, batch.images);
    if (batch.placements) gpu.device.queue.writeBuffer(buffers.get(placements)!, 0, batch.placements);
    submitLaunches(gpu, "input", program.launches);
    await gpu.finish();
    times.push((cpuTime() - start) / batches.batchSize);
  }
  program.destroy();
  buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
  return median(times);
}

/** Random bytes in STL-10's layout. */
async function writeStl10(folder: string): Promise<void> {
  const images = new Uint8Array(1024 * 3 * STL10_SIZE ** 2);
  for (let at = 0; at < images.length; at += 65536) crypto.getRandomValues(images.subarray(at, at + 65536));
  await Deno.writeFile(`${folder}/train_X.bin`, images);
  await Deno.writeFile(`${folder}/train_y.bin`, new Uint8Array(1024).fill(1));
}

/** Rows of a table of what threads deliver and what the device needs; `root` is a folder of class folders. */
export async function inputRows(gpu: Gpu, root: string, revision: string): Promise<string> {
  const folder = await Deno.makeTempDir(), augmentation = AUGMENTATIONS["resized-crop"];
  await writeStl10(folder);
  const cache = sharedPixelCache({ cacheDir: `${folder}/cache`, cacheSize: 1 });
  const open = (fit: Fit, kept: boolean) =>
    openImageFolder(root, { name: "images", fit, cache: kept ? cache : undefined });
  const fit = RECIPES.imagenet.fit(224), flowers = { size: 224, resize: "squash" } as const;
  const cases: readonly (readonly [string, ImageStream, Augmentation])[] = [
    ["STL-10, 96 pixels: random resized crop", await openStl10(folder, "train", RECIPES.stl10.fit(96)), augmentation],
    ["JPEG, no cache: random resized crop", await open(fit, false), augmentation],
    ["JPEG, full cache: random resized crop", await open(fit, true), augmentation],
    ["JPEG, full cache: flowers", await open(flowers, true), RECIPES.oxford102flowers.augmentation],
  ];
  const rows: (string | number)[][] = [];
  for (const [name, stream, augmentation] of cases) {
    const options = { batchSize: BATCH, augmentation, epochs: 4 };
    // The first run fills the cache.
    await timeInput(gpu, stream, { ...options, epochs: 1 });
    const results: InputTimes[] = [];
    for (let round = 0; round < ROUNDS; round++) results.push(await timeInput(gpu, stream, options));
    const [rate, host, device, megabytes] = (["rate", "host", "device", "megabytes"] as const)
      .map((column) => median(results.map((result) => result[column])));
    rows.push([name, revision, Math.round(rate), host.toFixed(2), device.toFixed(2), megabytes.toFixed(1)]);
  }
  await Deno.remove(folder, { recursive: true });
  return rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
}
