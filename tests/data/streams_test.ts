import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import type { View } from "../../lib/data/augmentation/view.ts";
import { viewBatches } from "../../lib/data/augmentation/views.ts";
import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { evaluationBatches, MASKED_LABEL } from "../../lib/data/evaluation_batches.ts";
import { BatchSequence, trainingBatches } from "../../lib/data/training_batches.ts";
import { epochOf } from "../../lib/data/training_order.ts";
import { createImageStream, type ImageLocation, type ImageStream } from "../../lib/data/dataset.ts";
import { holdStream } from "../../lib/data/render.ts";
import { balancedSubset, splitTrainVal, takeExamples } from "../../lib/data/subset.ts";
import { FormatError } from "../../lib/errors.ts";
import { fixture, inTemporaryFolder } from "./helpers.ts";

const LABELS = Uint32Array.from({ length: 11 }, (_, index) => index % 3);

/** A stream of images of different sizes, all of one colour that tells the example. */
function colours(locate?: (example: number) => ImageLocation): ImageStream {
  return createImageStream({
    name: "colours",
    classNames: ["a", "b", "c"],
    labels: LABELS,
    fit: { size: 8, resize: "crop" },
    identity: "colours",
    locate: locate ?? ((example) => {
      const width = 9 + example, height = 20 - example;
      return {
        kind: "pixels",
        image: { width, height, rgb: new Uint8Array(width * height * 3).fill(example + 1) },
      };
    }),
  });
}

function examples({ images }: { images: Uint8Array }): number[] {
  return Array.from({ length: images.length / 192 }, (_, row) => images[row * 192] - 1);
}

Deno.test("trainingBatches() of a stream are those of the same images in memory", async () => {
  const stream = colours(), held = await holdStream(stream);
  for (const augmentation of [AUGMENTATIONS.none, AUGMENTATIONS.flip, AUGMENTATIONS.crop]) {
    const options = { batchSize: 4, seed: 7, augmentation };
    using streamed = trainingBatches(stream, options);
    const whole = new BatchSequence(held, options);
    assertEquals([streamed.batchSize, streamed.stepsPerEpoch], [4, 2]);
    assertEquals(epochOf(stream, 4), { batchSize: 4, stepsPerEpoch: 2 });
    for (const { augmentation: left } of [streamed, whole]) {
      assertEquals(left, augmentation.kind === "none" ? undefined : augmentation);
    }
    for (const step of [0, 1, 2, 3, 9, 4, 4, 0]) {
      assertEquals(await streamed.batchAt(step), whole.batchAt(step));
    }
  }
});

Deno.test("viewBatches() of a stream are those of the same images in memory, places in the pass before as well", async () => {
  const stream = colours(), held = await holdStream(stream), options = { batchSize: 4, seed: 7 };
  const view: View = { height: 6, width: 6, window: { kind: "random", padding: 1 }, horizontalFlip: 0.5 };
  using streamed = viewBatches(stream, [[view, view], [{ ...view, height: 4 }]], options);
  const whole = viewBatches(held, [[view, view], [{ ...view, height: 4 }]], options);
  assertEquals([streamed.batchSize, streamed.stepsPerEpoch], [4, 2]);
  for (const step of [0, 1, 2, 3, 4, 9, 4, 4, 0]) assertEquals(await streamed.batchAt(step), whole.batchAt(step));
});

Deno.test("trainingBatches() keep a batch of a stream until the next but one is asked for", async () => {
  using batches = trainingBatches(colours(), { batchSize: 4, seed: 7 });
  const first = await batches.batchAt(0);
  const kept = examples(first);
  await batches.batchAt(1);
  // The third batch is being decoded by now.
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(examples(first), kept);
});

Deno.test("evaluationBatches() of a stream cover it in order and mask the rest", async () => {
  const seen: number[] = [], valid: number[] = [];
  for await (const batch of evaluationBatches(colours(), 4)) {
    assertEquals([...batch.labels.subarray(batch.valid)], new Array(4 - batch.valid).fill(MASKED_LABEL));
    seen.push(...examples(batch).slice(0, batch.valid));
    valid.push(batch.valid);
    assertEquals(batch.images.subarray(batch.valid * 192).every((byte) => byte === 0), true);
  }
  assertEquals([seen, valid], [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [4, 4, 3]]);
});

Deno.test("takeExamples(), balancedSubset() and splitTrainVal() take streams without decoding", async () => {
  const never = colours(() => {
    throw new Error("decoded");
  });
  const { train, val } = splitTrainVal(never, 0.3, 1);
  assertEquals(train.length + val.length, 11);
  assertEquals(balancedSubset(never, 6, 1).length, 6);
  const taken = takeExamples(colours(), [4, 0, 9]);
  assertEquals([...taken.labels], [1, 0, 0]);
  assertEquals(examples(await holdStream(taken)), [4, 0, 9]);
  assertNotEquals(taken.hash, colours().hash);
  assertEquals(taken.hash, takeExamples(colours(), [4, 0, 9]).hash);
  assertThrows(() => takeExamples(never, [11]), RangeError, "Cannot take example 11 of colours");
});

Deno.test("createImageStream() hashes its identity, fit and labels; refuses unknown labels and impossible fits", () => {
  const parts = { ...colours(), identity: "colours" };
  assertEquals(createImageStream(parts).hash, colours().hash);
  for (
    const other of [{ identity: "others" }, { labels: LABELS.slice(1) }, {
      fit: { size: 8, resize: "squash" } as const,
    }]
  ) assertNotEquals(createImageStream({ ...parts, ...other }).hash, colours().hash);
  assertThrows(() => createImageStream({ ...parts, classNames: ["a", "b"] }), RangeError, "example 2 has label 2");
  assertThrows(() => createImageStream({ ...parts, fit: { size: 0, resize: "crop" } }), RangeError, "positive whole");
});

Deno.test("a stream's damaged file is named when its batch is asked for, not before", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/bad.jpg`, (await Deno.readFile(fixture("gray.jpg"))).subarray(0, 300));
    const stream = colours((example) => ({
      kind: "file",
      path: example === 3 ? `${folder}/bad.jpg` : fixture("gray.jpg"),
    }));
    await assertRejects(() => holdStream(stream), FormatError, "bad.jpg");
    const failing = async () => {
      using batches = trainingBatches(stream, { batchSize: 11, seed: 1 });
      await batches.batchAt(0);
    };
    await assertRejects(failing, FormatError, "bad.jpg");
  }));

Deno.test("holdStream() refuses more images than memory is allowed", async () => {
  await assertRejects(() => holdStream(colours(), 11 * 192 - 1), RangeError, "11 images of 8x8 RGB");
});
