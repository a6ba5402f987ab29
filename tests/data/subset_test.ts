import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { classCounts } from "../../lib/data/dataset.ts";
import { balancedSubset, splitTrainVal, takeExamples } from "../../lib/data/subset.ts";
import { countingSet } from "./helpers.ts";

/** 40 examples of each of 5 classes, interleaved. */
const even = countingSet(Array.from({ length: 200 }, (_, index) => index % 5), 5);

Deno.test("balancedSubset() takes as many of each class, to within one", () => {
  for (const count of [1, 4, 5, 23, 100, 200]) {
    const indices = balancedSubset(even, count, 7);
    assertEquals(new Set(indices).size, count);
    const counts = classCounts(takeExamples(even, indices));
    assert(Math.max(...counts) - Math.min(...counts) <= 1, `${count}: ${counts}`);
    assertEquals([...indices], [...indices].sort((a, b) => a - b));
  }
});

Deno.test("balancedSubset() depends on the seed only, and larger subsets hold smaller ones", () => {
  const ten = balancedSubset(even, 10, 3);
  assertEquals(balancedSubset(even, 10, 3), ten);
  assertNotEquals(balancedSubset(even, 10, 4), ten);
  const fifty = new Set(balancedSubset(even, 50, 3));
  assert(ten.every((index) => fifty.has(index)));
});

Deno.test("balancedSubset() draws every example and every surplus class equally often", () => {
  const drawn = new Float64Array(200), surplus = new Float64Array(5), seeds = 2000;
  for (let seed = 0; seed < seeds; seed++) {
    const indices = balancedSubset(even, 51, seed);
    for (const index of indices) drawn[index]++;
    classCounts(takeExamples(even, indices)).forEach((count, label) => surplus[label] += count - 10);
  }
  // Binomial with p = 51/200 and 1/5: five standard deviations.
  const p = 51 / 200;
  assert(drawn.every((count) => Math.abs(count - seeds * p) < 5 * Math.sqrt(seeds * p * (1 - p))), `${drawn}`);
  assert(surplus.every((count) => Math.abs(count - seeds / 5) < 5 * Math.sqrt(seeds * 0.16)), `${surplus}`);
});

Deno.test("balancedSubset() refuses what a class cannot give", () => {
  const uneven = countingSet([0, 0, 0, 1, 1, 2], 3);
  assertThrows(() => balancedSubset(uneven, 6, 0), RangeError, 'class "class 2" has 1, 2 are required');
  for (const count of [0, -1, 1.5, NaN]) assertThrows(() => balancedSubset(even, count, 0), RangeError);
});

Deno.test("splitTrainVal() gives each class its share and loses nothing", () => {
  const labels = [...new Array(50).fill(0), ...new Array(33).fill(1), ...new Array(7).fill(2)];
  const set = countingSet(labels, 3);
  const { train, val } = splitTrainVal(set, 0.2, 1);
  assertEquals([...train, ...val].sort((a, b) => a - b), labels.map((_, index) => index));
  // Shares 10, 6.6 and 1.4 of 18: the largest remainder gets the one that is missing.
  assertEquals([...classCounts(takeExamples(set, val))], [10, 7, 1]);
  assertEquals(splitTrainVal(set, 0.2, 1), { train, val });
  assertNotEquals(splitTrainVal(set, 0.2, 2).val, val);
});

Deno.test("splitTrainVal() refuses to leave a part empty", () => {
  for (const fraction of [0, 1, -0.1, NaN, 0.001, 0.999]) {
    assertThrows(() => splitTrainVal(even, fraction, 0), RangeError, "leaves both parts an example");
  }
});

Deno.test("takeExamples() keeps order and pixels", () => {
  const taken = takeExamples(even, [7, 2, 7]);
  assertEquals([...taken.labels], [2, 2, 2]);
  assertEquals([0, 1, 2].map((row) => taken.images[row * 18 + 17]), [8, 3, 8]);
  assertThrows(() => takeExamples(even, [200]), RangeError, "example 200");
});
