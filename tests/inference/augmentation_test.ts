import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import { deviceAugmentation, trainingBatches } from "../../lib/data/training_batches.ts";
import { createImageStream, type ImageSource } from "../../lib/data/dataset.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { holdStream } from "../../lib/data/render.ts";
import { takeExamples } from "../../lib/data/subset.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { type ChainCheckpoint, runChain, type Sample, samplePosterior } from "../../lib/inference/chain.ts";
import { constant } from "../../lib/inference/schedules.ts";
import { TrainingSession } from "../../lib/inference/training.ts";
import { estimateMemory } from "../../lib/inference/training_step.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { gpuTests } from "../gpu/harness.ts";

const gpuTest = gpuTests();

const SIDE = 12, EXAMPLES = 10, BATCH = 4;
const MODEL = { encoder: "resnet8", numClasses: 2, height: SIDE, width: SIDE };
const settings = { sampler: "sgd", momentum: 0.9, temperature: 0, numData: EXAMPLES, priorStep: "explicit" } as const;
const common = { batchSize: BATCH, normalisation: NORMALISATIONS.imagenet, settings, seed: 5 };

const stream = createImageStream({
  name: "noise",
  classNames: ["a", "b"],
  labels: Uint32Array.from({ length: EXAMPLES }, (_, example) => example % 2),
  fit: { size: SIDE, resize: "squash" },
  identity: "noise",
  locate: (example) => ({
    kind: "pixels",
    image: {
      width: SIDE,
      height: SIDE,
      rgb: Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, at) => ((at + 97 * example) ** 2 * 31) % 256),
    },
  }),
});

/** Losses of two epochs. */
async function losses(gpu: Gpu, train: ImageSource, augmentation: Augmentation): Promise<number[]> {
  const found: number[] = [];
  const weights = initialWeights(layoutModel(MODEL), 1);
  const schedule = constant({ learningRate: 0.05, steps: 5, samples: 1 });
  await samplePosterior(gpu, { ...common, model: MODEL, weights, train, augmentation, schedule }, {
    onMetrics: (metrics) => void found.push(...metrics.map(({ loss }) => loss)),
  });
  return found;
}

gpuTest(
  "a chain on images in memory is that on a stream of images of their size",
  async (gpu) => {
    const held = await holdStream(stream);
    const plain = await losses(gpu, held, AUGMENTATIONS.none);
    const rotated = { kind: "rotated-crop", margin: 0.25, degrees: 30, flip: true, verticalFlip: true } as const;
    for (const augmentation of [...Object.values(AUGMENTATIONS), rotated]) {
      const found = await losses(gpu, held, augmentation);
      assertEquals(found.length, 5);
      assertEquals(found, await losses(gpu, stream, augmentation), augmentation.kind);
      if (augmentation.kind !== "none") assertNotEquals(found, plain, augmentation.kind);
    }
  },
);

gpuTest("a session that augments refuses a batch without placements", async (gpu) => {
  const model = new DeviceModel(gpu, MODEL);
  const session = await TrainingSession.create(model, { ...common, augmentation: AUGMENTATIONS.crop });
  const batch = { images: new Uint8Array(BATCH * SIDE * SIDE * 3), labels: new Uint32Array(BATCH) };
  assertThrows(() => session.submit(0, batch, 0.1, false), TypeError, "the batch has none");
  session.destroy();
  model.destroy();
});

/** Images of 9 x 9 in memory, to be trained on at 12 x 12. */
const WHOLE = 9;
const wholeImages = Uint8Array.from({ length: EXAMPLES * WHOLE * WHOLE * 3 }, (_, at) => (at * at * 31 + at) % 256);
const enlarged = createImageStream({
  name: "small noise",
  classNames: ["a", "b"],
  labels: stream.labels,
  fit: { size: SIDE, resize: "squash" },
  identity: "small noise",
  whole: { images: wholeImages, height: WHOLE, width: WHOLE },
  locate(example) {
    const bytes = WHOLE * WHOLE * 3, rgb = wholeImages.slice(example * bytes, (example + 1) * bytes);
    return { kind: "pixels", image: { height: WHOLE, width: WHOLE, rgb } };
  },
});

gpuTest("crops of images in memory are those of a stream of the same images", async (gpu) => {
  const { whole: _, ...located } = enlarged;
  const augmentation = { ...AUGMENTATIONS["resized-crop"], verticalFlip: true } as Augmentation;
  for (const train of [enlarged, takeExamples(enlarged, [7, 2, 3, 9, 0, 1])]) {
    const other = train === enlarged ? located : takeExamples(located, [7, 2, 3, 9, 0, 1]);
    using batches = trainingBatches(train, { ...common, augmentation });
    assertEquals(batches.batchAt(0) instanceof Promise, false);
    assertEquals(batches.sourceSize, { height: WHOLE, width: WHOLE });
    assertEquals(await losses(gpu, train, augmentation), await losses(gpu, other, augmentation));
  }
  for (const other of [AUGMENTATIONS.flip, AUGMENTATIONS.crop]) {
    assertEquals(await losses(gpu, enlarged, other), await losses(gpu, located, other));
  }
});

/** Images of many sizes, of which some have boxes that are too large for the device. */
const assorted = createImageStream({
  name: "assorted noise",
  classNames: ["a", "b"],
  labels: stream.labels,
  fit: { size: SIDE, resize: "crop" },
  identity: "assorted noise",
  locate(example) {
    const width = 1 + 8 * example, height = 50 - 5 * example;
    const rgb = Uint8Array.from({ length: height * width * 3 }, (_, at) => ((at + 41 * example) ** 2 * 31) % 256);
    return { kind: "pixels", image: { width, height, rgb } };
  },
});

gpuTest("a chain on a stream of many sizes goes on from a checkpoint to the same bits", async (gpu) => {
  for (const augmentation of [AUGMENTATIONS["resized-crop"], AUGMENTATIONS.crop]) {
    const options = {
      ...common,
      model: MODEL,
      weights: initialWeights(layoutModel(MODEL), 1),
      train: assorted,
      augmentation,
      schedule: constant({ learningRate: 0.05, steps: 5, samples: 1 }),
    };
    const samples: Sample[] = [], checkpoints: ChainCheckpoint[] = [];
    const hooks = {
      checkpointSteps: 3,
      onSample: (sample: Sample) => void samples.push(sample),
      onCheckpoint: (checkpoint: ChainCheckpoint) => void checkpoints.push(checkpoint),
    };
    await runChain(gpu, options, hooks);
    assertEquals(checkpoints.map(({ step }) => step), [3]);
    await runChain(gpu, options, hooks, checkpoints[0]);
    const [straight, resumed] = samples;
    assertEquals(samples.length, 2);
    assertEquals(resumed, straight);
    assertNotEquals(straight.weights.backbone, checkpoints[0].weights.backbone);
  }
});

gpuTest("estimateMemory() counts the room that a stream's boxes have", async (gpu) => {
  const before = gpu.live.bytes;
  const options = { ...common, batchSize: 64, ...deviceAugmentation(assorted, AUGMENTATIONS["resized-crop"]) };
  const estimate = estimateMemory(gpu, MODEL, options);
  const model = new DeviceModel(gpu, MODEL), session = await TrainingSession.create(model, options);
  const beside = gpu.live.bytes - before - estimate.total;
  // What the step is told and what it reports; the boxes' room alone has 108 KiB.
  assert(beside >= 0 && beside < 16 * 2 ** 10, `${beside} bytes were not foreseen`);
  session.destroy();
  model.destroy();
});

Deno.test("deviceAugmentation() says what the device gets: not of the augmentation that does nothing", async () => {
  const held = await holdStream(stream), { crop, none } = AUGMENTATIONS, resized = AUGMENTATIONS["resized-crop"];
  const rotated = { kind: "rotated-crop", margin: 0.25, degrees: 30, flip: true } as const;
  const squareOf = (side: number) => ({ height: side, width: side });
  assertEquals(deviceAugmentation(held, none), {});
  assertEquals(deviceAugmentation(stream, none), {});
  assertEquals(deviceAugmentation(held), {});
  assertEquals(deviceAugmentation(held, crop), { augmentation: crop });
  assertEquals(deviceAugmentation(held, resized), { augmentation: resized });
  for (const source of [stream, enlarged]) {
    assertEquals(deviceAugmentation(source, crop), { augmentation: crop, sourceSize: squareOf(SIDE) });
    assertEquals(deviceAugmentation(source, rotated), { augmentation: rotated, sourceSize: squareOf(15) });
  }
  const packed = { ...squareOf(2 * SIDE), packed: true };
  assertEquals(deviceAugmentation(stream, resized), { augmentation: resized, sourceSize: packed });
  assertEquals(deviceAugmentation(enlarged, resized), { augmentation: resized, sourceSize: squareOf(WHOLE) });
});
