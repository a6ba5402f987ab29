import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { classCounts, type ImageSet } from "../../lib/data/dataset.ts";
import { proceduralDownstream, type ProceduralOptions, proceduralSource } from "../../lib/data/procedural.ts";

const IMAGE = 32 * 32 * 3;

function image(set: ImageSet, example: number): Uint8Array {
  return set.images.subarray(example * IMAGE, (example + 1) * IMAGE);
}

/** Share of `test` that the nearest class mean of `train` (raw pixels) gets right. */
function centroidAccuracy(train: ImageSet, test: ImageSet): number {
  const classes = train.classNames.length, counts = classCounts(train);
  const means = Array.from({ length: classes }, () => new Float64Array(IMAGE));
  train.labels.forEach((label, example) =>
    image(train, example).forEach((byte, at) => means[label][at] += byte / counts[label])
  );
  let right = 0;
  test.labels.forEach((label, example) => {
    const pixels = image(test, example);
    const distances = means.map((mean) => mean.reduce((sum, value, at) => sum + (value - pixels[at]) ** 2, 0));
    if (distances.indexOf(Math.min(...distances)) === label) right++;
  });
  return right / test.labels.length;
}

Deno.test("proceduralSource() makes these bytes on every machine", () => {
  const set = proceduralSource({ seed: 0, perClass: 20 });
  assertEquals(set.hash, "8282819aafacd744cd74239d4ece511a4d86dc0280dff677ca0602cc0699d3c9");
});

Deno.test("proceduralDownstream() makes these bytes on every machine", () => {
  const set = proceduralDownstream({ seed: 2 ** 33 + 5, perClass: 20, split: "test" });
  assertEquals(set.hash, "283a081d2aaf01a3fa4a48a7ac6ccf6a0f16b7820e1dc541aca0ade6f3368be2");
});

Deno.test("proceduralSource() has 24 balanced classes, proceduralDownstream() 10 others of the same factors", () => {
  const source = proceduralSource({ seed: 1, perClass: 3 }),
    downstream = proceduralDownstream({ seed: 1, perClass: 3 });
  for (const [set, classes] of [[source, 24], [downstream, 10]] as const) {
    assertEquals([set.height, set.width, new Set(set.classNames).size], [32, 32, classes]);
    assertEquals([...classCounts(set)], new Array(classes).fill(3));
  }
  const factors = new Set(source.classNames.flatMap((name) => name.split("-")));
  for (const name of downstream.classNames) {
    assert(!source.classNames.includes(name), name);
    assert(name.split("-").every((factor) => factors.has(factor)), name);
  }
});

Deno.test("proceduralSource() and proceduralDownstream() repeat no image across splits, seeds and tasks", () => {
  const options: ProceduralOptions[] = [
    { seed: 1, perClass: 20, split: "train" },
    { seed: 1, perClass: 20, split: "val" },
    { seed: 1, perClass: 20, split: "test" },
    { seed: 2, perClass: 20, split: "train" },
  ];
  const sets = options.flatMap((each) => [proceduralSource(each), proceduralDownstream(each)]);
  const images = sets.flatMap((set) => Array.from(set.labels, (_, example) => image(set, example).join()));
  assertEquals(images.length, 4 * 34 * 20);
  assertEquals(new Set(images).size, images.length);
});

Deno.test("proceduralDownstream() extends a smaller set", () => {
  const small = proceduralDownstream({ seed: 6, perClass: 2 }), large = proceduralDownstream({ seed: 6, perClass: 5 });
  assertEquals(large.images.subarray(0, small.images.length), small.images);
  assertEquals(large.labels.subarray(0, small.labels.length), small.labels);
  assertNotEquals(large.hash, small.hash);
});

Deno.test("proceduralSource() with fewer classes has the same first ones", () => {
  const all = proceduralSource({ seed: 6, perClass: 1 }),
    eight = proceduralSource({ seed: 6, perClass: 1, classes: 8 });
  assertEquals(eight.classNames, all.classNames.slice(0, 8));
  assertEquals(eight.images, all.images.subarray(0, eight.images.length));
  assertEquals(new Set(eight.classNames.map((name) => name.split("-")[1])).size, 8);
});

Deno.test("proceduralDownstream() cannot be solved by mean pixels or colours", () => {
  const train = proceduralDownstream({ seed: 3, perClass: 60 });
  const test = proceduralDownstream({ seed: 3, perClass: 40, split: "test" });
  // Chance is 0.1, with a standard error of 0.015.
  const accuracy = centroidAccuracy(train, test);
  assert(accuracy < 0.25, `${accuracy}`);
});

Deno.test("proceduralSource() uses the range of a byte without clipping much", () => {
  const { images } = proceduralSource({ seed: 9, perClass: 10 });
  const mean = images.reduce((sum, byte) => sum + byte, 0) / images.length;
  const deviation = Math.sqrt(images.reduce((sum, byte) => sum + (byte - mean) ** 2, 0) / images.length);
  const clipped = images.reduce((count, byte) => count + (byte === 0 || byte === 255 ? 1 : 0), 0) / images.length;
  assert(Math.abs(mean - 127.5) < 8 && deviation > 40 && deviation < 75, `${mean} ${deviation}`);
  assert(clipped < 0.05, `${clipped}`);
});

Deno.test("proceduralSource() and proceduralDownstream() refuse impossible sizes", () => {
  for (const classes of [1, 25, 2.5]) {
    assertThrows(() => proceduralSource({ seed: 0, perClass: 1, classes }), RangeError, "2 to 24");
  }
  for (const perClass of [0, -1, 0.5]) {
    assertThrows(() => proceduralDownstream({ seed: 0, perClass }), RangeError, "a positive whole number");
  }
  assertThrows(() => proceduralSource({ seed: 0, perClass: 1e6 }), RangeError, "GiB is allowed");
});
