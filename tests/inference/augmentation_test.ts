import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import { deviceAugmentation } from "../../lib/data/training_batches.ts";
import { createImageStream, type ImageSource } from "../../lib/data/dataset.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { holdStream } from "../../lib/data/render.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { samplePosterior } from "../../lib/inference/chain.ts";
import { constant } from "../../lib/inference/schedules.ts";
import { TrainingSession } from "../../lib/inference/training.ts";
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
  "a chain on images in memory, augmented on the device, is that on a stream, augmented by threads",
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

Deno.test("deviceAugmentation() leaves nothing of a stream's, and not the augmentation that does nothing", async () => {
  const held = await holdStream(stream);
  assertEquals(deviceAugmentation(held, AUGMENTATIONS.crop), AUGMENTATIONS.crop);
  assertEquals(deviceAugmentation(stream, AUGMENTATIONS.crop), undefined);
  assertEquals(deviceAugmentation(held, AUGMENTATIONS.none), undefined);
  assertEquals(deviceAugmentation(held), undefined);
});
