import { assert, assertAlmostEquals, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ModelAverage } from "../../lib/evaluation/model_average.ts";
import { computeMetrics } from "../../lib/evaluation/metrics.ts";
import { softmax } from "../../lib/evaluation/softmax.ts";
import fixture from "../fixtures/metrics.json" with { type: "json" };

const { classes, labels } = fixture;
const logits = fixture.logits.map((member) => Float32Array.from(member));

Deno.test("ModelAverage matches numpy", () => {
  const average = new ModelAverage(labels.length, classes);
  for (const member of logits) average.add(member);
  assertEquals(average.members, 4);
  const metrics = computeMetrics(average.probabilities(), labels, average.mutualInformation());
  for (const [key, value] of Object.entries(fixture.average)) {
    assertAlmostEquals(metrics[key as keyof typeof metrics]!, value, 1e-12, key);
  }
  average.entropyOfMean().forEach((value, i) => assertAlmostEquals(value, fixture.entropyOfMean[i], 1e-12));
  average.meanEntropy().forEach((value, i) => assertAlmostEquals(value, fixture.meanEntropy[i], 1e-12));
  average.mutualInformation().forEach((value, i) => assertAlmostEquals(value, fixture.mutualInformation[i], 1e-12));
  assertAlmostEquals(average.agreement(), fixture.agreement, 1e-15);
  assert(fixture.agreement > 0 && fixture.agreement < 1);
  assertEquals(average.warning(), undefined);
});

Deno.test("ModelAverage of one member is that member", () => {
  const average = new ModelAverage(labels.length, classes);
  average.add(logits[0]);
  assertEquals(average.probabilities(), softmax(logits[0], classes));
  assertEquals(average.mutualInformation().every((value) => value === 0), true);
  assertEquals(average.agreement(), 1);
  assertEquals(average.warning(), undefined);
});

Deno.test("ModelAverage warns of members that agree too closely, and only then", () => {
  // Mutual information grows with the square of a small difference: these two are on both sides of 1e-6 nats.
  const pair = (difference: number) => {
    const average = new ModelAverage(labels.length, classes);
    average.add(logits[0]);
    average.add(logits[0].map((value) => value + difference * Math.sin(value)));
    const mean = average.mutualInformation().reduce((sum, value) => sum + value, 0) / labels.length;
    return { mean, warning: average.warning() };
  };
  const alike = pair(4e-3), different = pair(2e-2);
  assert(alike.mean > 1e-7 && alike.mean < 1e-6, `${alike.mean}`);
  assertStringIncludes(alike.warning!, "The 2 posterior samples predict nearly the same");
  assert(different.mean > 1e-6 && different.mean < 1e-4, `${different.mean}`);
  assertEquals(different.warning, undefined);
});

Deno.test("ModelAverage.agreement() counts examples on which any member differs", () => {
  const average = new ModelAverage(3, 2);
  average.add(Float32Array.of(1, 0, 1, 0, 0, 1));
  average.add(Float32Array.of(1, 0, 0, 1, 0, 1));
  average.add(Float32Array.of(2, 0, 1, 0, 0, 9));
  assertAlmostEquals(average.agreement(), 2 / 3, 1e-15);
});

Deno.test("ModelAverage does not depend on the order of its members beyond rounding", () => {
  const forward = new ModelAverage(labels.length, classes), backward = new ModelAverage(labels.length, classes);
  for (const member of logits) forward.add(member);
  for (const member of logits.toReversed()) backward.add(member);
  const reference = forward.probabilities();
  backward.probabilities().forEach((value, i) => assertAlmostEquals(value, reference[i], 1e-15));
  assertEquals(backward.agreement(), forward.agreement());
});

Deno.test("ModelAverage refuses bad members and keeps nothing of them", () => {
  const average = new ModelAverage(2, 2);
  assertThrows(() => average.probabilities(), RangeError, "no member was added");
  assertThrows(() => average.agreement(), RangeError, "no member was added");
  average.add(Float32Array.of(0, 1, 2, 3));
  const before = average.probabilities();
  assertThrows(() => average.add(Float32Array.of(0, 1, 2, NaN)), RangeError, "row 1");
  assertThrows(() => average.add(Float32Array.of(0, 1)), TypeError, "[2, 2], that is 4, are required");
  assertEquals(average.members, 1);
  assertEquals(average.probabilities(), before);
  assertThrows(() => new ModelAverage(0, 2), RangeError, "0 examples");
  assertThrows(() => new ModelAverage(2, 1), RangeError, "at least 2 classes");
});
