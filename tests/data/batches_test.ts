import { assert, assertEquals, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { evaluationBatches, MASKED_LABEL } from "../../lib/data/evaluation_batches.ts";
import { BatchSequence } from "../../lib/data/training_batches.ts";
import { proceduralDownstream } from "../../lib/data/procedural.ts";
import { countingSet } from "./helpers.ts";

const set = countingSet(Array.from({ length: 23 }, (_, index) => index % 4), 4);

/** Which examples a batch of the counting set holds. */
function examples({ images }: { images: Uint8Array }): number[] {
  return Array.from({ length: images.length / 18 }, (_, row) => images[row * 18] - 1);
}

Deno.test("BatchSequence runs through a fresh permutation every epoch and drops the rest", () => {
  const batches = new BatchSequence(set, { batchSize: 5, seed: 1 });
  assertEquals([batches.batchSize, batches.stepsPerEpoch], [5, 4]);
  const epochs = [0, 1, 2].map((epoch) => {
    const seen: number[] = [];
    for (let step = 0; step < 4; step++) {
      const batch = batches.batchAt(epoch * 4 + step);
      assertEquals(batch.epoch, epoch);
      assertEquals([...batch.labels], examples(batch).map((example) => example % 4));
      seen.push(...examples(batch));
    }
    assertEquals(new Set(seen).size, 20);
    return seen;
  });
  assertNotEquals(epochs[0], epochs[1]);
  assertNotEquals(epochs[1], epochs[2]);
});

Deno.test("BatchSequence orders all examples equally often", () => {
  const batches = new BatchSequence(set, { batchSize: 1, seed: 5 });
  const epochs = 2000, first = new Float64Array(23);
  for (let epoch = 0; epoch < epochs; epoch++) first[examples(batches.batchAt(epoch * 23))[0]]++;
  const mean = epochs / 23;
  assert(first.every((count) => Math.abs(count - mean) < 5 * Math.sqrt(mean)), `${first}`);
});

Deno.test("batchAt() is a pure function of the step, so a resumed run equals an uninterrupted one", () => {
  const images = proceduralDownstream({ seed: 3, perClass: 3 });
  for (const augmentation of Object.values(AUGMENTATIONS)) {
    const options = { batchSize: 7, seed: 2 ** 40 + 9, augmentation };
    const whole = new BatchSequence(images, options);
    const straight = Array.from({ length: 12 }, (_, step) => {
      return structuredClone(whole.batchAt(step));
    });
    for (const step of [11, 0, 6, 5]) {
      assertEquals(new BatchSequence(images, options).batchAt(step), straight[step]);
      assertEquals(whole.batchAt(step), straight[step]);
    }
  }
});

Deno.test("placesBefore() says where an example stood in the epoch before, at whatever step it is asked", () => {
  const batches = new BatchSequence(set, { batchSize: 5, seed: 1 });
  // 4 steps an epoch, of 20 of the 23 examples.
  const seen = Array.from({ length: 12 }, (_, step) => [...batches.batchAt(step).examples]);
  const wanted = seen.map((examples, step) =>
    examples.map((example) => {
      const epoch = Math.floor(step / 4), before = seen.slice(4 * (epoch - 1), 4 * epoch).flat();
      return epoch > 0 && before.includes(example) ? before.indexOf(example) : 20;
    })
  );
  assertEquals(wanted[3], Array(5).fill(20));
  assert(wanted.slice(4).flat().includes(20), "no example was left out of the epoch before");
  for (const step of [11, 0, 4, 3, 5, 9, 8, 1, 2, 6, 7, 10]) {
    assertEquals([...batches.placesBefore(step)], wanted[step]);
    assertEquals([...new BatchSequence(set, { batchSize: 5, seed: 1 }).placesBefore(step)], wanted[step]);
    assertEquals([...batches.batchAt(step).examples], seen[step]);
  }
});

Deno.test("BatchSequence trains on a set smaller than a batch", () => {
  const batches = new BatchSequence(set, { batchSize: 64, seed: 1 });
  assertEquals([batches.batchSize, batches.stepsPerEpoch], [23, 1]);
  const { images, labels } = batches.batchAt(4);
  assertEquals([labels.length, images.length], [23, 23 * 18]);
  assertEquals(examples({ images }).sort((a, b) => a - b), Array.from({ length: 23 }, (_, index) => index));
});

Deno.test("BatchSequence alternates between two buffers", () => {
  const batches = new BatchSequence(set, { batchSize: 5, seed: 1 });
  const [first, second, third] = [0, 1, 2].map((step) => batches.batchAt(step).images);
  assert(first !== second);
  assertStrictEquals(first, third);
});

Deno.test("BatchSequence differs by seed", () => {
  const orders = [1, 2].map((seed) => examples(new BatchSequence(set, { batchSize: 23, seed }).batchAt(0)));
  assertNotEquals(orders[0], orders[1]);
});

Deno.test("BatchSequence and evaluationBatches() refuse impossible sizes and steps", () => {
  for (const batchSize of [0, -1, 1.5, NaN]) {
    assertThrows(() => new BatchSequence(set, { batchSize, seed: 0 }), RangeError, "positive whole batch size");
    assertThrows(() => [...evaluationBatches(set, batchSize)], RangeError, "positive whole batch size");
  }
  const empty = countingSet([], 2);
  assertThrows(() => new BatchSequence(empty, { batchSize: 1, seed: 0 }), RangeError, "the 0 examples");
  const batches = new BatchSequence(set, { batchSize: 1, seed: 0 });
  for (const step of [-1, 0.5, NaN]) assertThrows(() => batches.batchAt(step), RangeError, "a whole number from 0 on");
});

Deno.test("evaluationBatches() covers the set in order and masks the rest", () => {
  const seen: number[] = [], valid: number[] = [], starts: number[] = [];
  for (const batch of evaluationBatches(set, 9)) {
    assertEquals([batch.labels.length, batch.images.length], [9, 9 * 18]);
    assert(batch.labels.subarray(batch.valid).every((label) => label === MASKED_LABEL));
    assert(batch.images.subarray(batch.valid * 18).every((byte) => byte === 0));
    assertEquals([...batch.labels.subarray(0, batch.valid)], examples(batch).slice(0, batch.valid).map((e) => e % 4));
    seen.push(...examples(batch).slice(0, batch.valid));
    valid.push(batch.valid);
    starts.push(batch.start);
  }
  assertEquals([valid, starts], [[9, 9, 5], [0, 9, 18]]);
  assertEquals(seen, Array.from({ length: 23 }, (_, index) => index));
});

Deno.test("evaluationBatches() masks nothing where the set fills its batches", () => {
  const batches = [...evaluationBatches(countingSet([0, 1, 0, 1], 2), 2)].map(({ valid }) => valid);
  assertEquals(batches, [2, 2]);
  assertEquals(
    [...evaluationBatches(countingSet([1], 2), 4)][0].labels,
    Uint32Array.of(1, ...new Array(3).fill(MASKED_LABEL)),
  );
});
