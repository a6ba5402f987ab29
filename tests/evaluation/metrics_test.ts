import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  computeMetrics,
  confidence,
  entropy,
  type Metrics,
  MetricsAccumulator,
  mutualInformation,
  reliability,
} from "../../lib/evaluation/metrics.ts";
import { binOf, expectedCalibrationError } from "../../lib/evaluation/calibration.ts";
import { softmax } from "../../lib/evaluation/softmax.ts";
import fixture from "../fixtures/metrics.json" with { type: "json" };

const members = fixture.logits.map((logits) => softmax(Float32Array.from(logits), fixture.classes));

/** numpy and this code add in different orders: float64 rounding of sums of 60 terms. */
const ROUNDING = 1e-12;

Deno.test("computeMetrics() matches hand-computed values", () => {
  const metrics = computeMetrics(Float64Array.of(0.8, 0.2, 0.3, 0.7, 0.6, 0.4), [0, 0, 1]);
  assertEquals(metrics.n, 3);
  assertAlmostEquals(metrics.accuracy, 1 / 3, 1e-15);
  assertAlmostEquals(metrics.nll, -(Math.log(0.8) + Math.log(0.3) + Math.log(0.4)) / 3, 1e-15);
  assertAlmostEquals(metrics.brier, (2 * 0.2 ** 2 + 2 * 0.7 ** 2 + 2 * 0.6 ** 2) / 3, 1e-15);
  // Confidences 0.8, 0.7 and 0.6 lie in three different bins of width 1/15.
  assertAlmostEquals(metrics.ece, (0.2 + 0.7 + 0.6) / 3, 1e-15);
  const h = (p: number) => -p * Math.log(p) - (1 - p) * Math.log(1 - p);
  assertAlmostEquals(metrics.entropy, (h(0.8) + h(0.3) + h(0.6)) / 3, 1e-15);
  assert(!("mutualInformation" in metrics));
});

Deno.test("computeMetrics() and reliability() match numpy", () => {
  for (
    const [probabilities, expected, bins] of [
      [members[0], fixture.single, fixture.singleBins],
      [average(), fixture.average, fixture.averageBins],
    ] as const
  ) {
    const metrics = computeMetrics(probabilities, fixture.labels);
    for (const key of ["n", "accuracy", "nll", "ece", "brier", "entropy"] as const) {
      assertAlmostEquals(metrics[key], expected[key], ROUNDING, key);
    }
    reliability(probabilities, fixture.labels).forEach((bin, i) => {
      assertEquals(bin.count, bins[i].count);
      assertAlmostEquals(bin.confidence, bins[i].confidence ?? NaN, ROUNDING);
      assertAlmostEquals(bin.accuracy, bins[i].accuracy ?? NaN, ROUNDING);
    });
  }
});

Deno.test("mutualInformation() matches numpy, and computeMetrics() averages it", () => {
  const information = mutualInformation(members, fixture.classes);
  information.forEach((value, i) => assertAlmostEquals(value, fixture.mutualInformation[i], ROUNDING));
  const metrics = computeMetrics(average(), fixture.labels, information);
  assertAlmostEquals(metrics.mutualInformation!, fixture.average.mutualInformation, ROUNDING);
});

Deno.test("mutualInformation() is ln 2 for two sure members that disagree, 0 for equal ones", () => {
  const sure = [Float64Array.of(1, 0), Float64Array.of(0, 1)];
  assertAlmostEquals(mutualInformation(sure, 2)[0], Math.LN2, 1e-15);
  assertEquals(
    [...mutualInformation([members[0], members[0], members[0]], fixture.classes)].every((i) => i >= 0),
    true,
  );
  assertThrows(() => mutualInformation([], 2), RangeError, "none was given");
  assertThrows(() => mutualInformation([members[0], sure[0]], 2), TypeError, "2 probabilities");
});

Deno.test("MetricsAccumulator equals computeMetrics() bit for bit, however the set is cut", () => {
  const information = mutualInformation(members, fixture.classes);
  const probabilities = average();
  const whole = computeMetrics(probabilities, fixture.labels, information);
  for (const batch of [1, 7, 59, 60, 100]) {
    const accumulator = new MetricsAccumulator(fixture.classes);
    for (let from = 0; from < fixture.labels.length; from += batch) {
      accumulator.add(
        probabilities.subarray(from * fixture.classes, (from + batch) * fixture.classes),
        fixture.labels.slice(from, from + batch),
        information.subarray(from, from + batch),
      );
    }
    assertEquals<Metrics>(accumulator.metrics(), whole);
    assertEquals(accumulator.reliability(), reliability(probabilities, fixture.labels));
  }
});

Deno.test("computeMetrics() of one sure example has no phantom bin", () => {
  const right = computeMetrics(Float32Array.of(1, 0), [0]);
  assertEquals({ ...right }, { n: 1, accuracy: 1, nll: 0, ece: 0, brier: 0, entropy: 0 });
  const wrong = computeMetrics(Float32Array.of(1, 0), [1]);
  assertEquals([wrong.accuracy, wrong.ece, wrong.brier], [0, 1, 2]);
  const bins = reliability(Float32Array.of(1, 0, 0, 1, 1, 0), [0, 1, 1]);
  assertEquals(bins.length, 15);
  assertEquals(bins.map((bin) => bin.count), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
  assertEquals(bins[14].confidence, 1);
  assertAlmostEquals(bins[14].accuracy, 2 / 3, 1e-15);
  assertEquals(bins[0].confidence, NaN);
  assertAlmostEquals(expectedCalibrationError(bins), 1 / 3, 1e-15);
});

Deno.test("computeMetrics() charges an impossible label the floor of its array's type", () => {
  assertAlmostEquals(computeMetrics(Float32Array.of(1, 0), [1]).nll, 149 * Math.LN2, 1e-12);
  assertAlmostEquals(computeMetrics(Float64Array.of(1, 0), [1]).nll, 1074 * Math.LN2, 1e-12);
  // 150 nats: below float32's floor, which softmax() in float64 does not have.
  assertAlmostEquals(computeMetrics(softmax(Float32Array.of(150, 0), 2), [1]).nll, 150, 1e-12);
});

Deno.test("binOf() closes every bin on the right, at exact edges too", () => {
  for (const bins of [1, 2, 3, 7, 10, 15, 49, 100]) {
    assertEquals(binOf(0, bins), 0);
    assertEquals(binOf(1, bins), bins - 1);
    for (let i = 1; i < bins; i++) {
      const edge = i / bins;
      assertEquals(binOf(edge, bins), i - 1, `${i}/${bins}`);
      assertEquals(binOf(edge * (1 + 2 ** -52), bins), i, `just above ${i}/${bins}`);
      assertEquals(binOf(edge * (1 - 2 ** -53), bins), i - 1, `just below ${i}/${bins}`);
    }
  }
});

Deno.test("computeMetrics() takes the first of equal classes", () => {
  assertEquals(computeMetrics(Float64Array.of(0.5, 0.5), [0]).accuracy, 1);
  assertEquals(computeMetrics(Float64Array.of(0.5, 0.5), [1]).accuracy, 0);
});

Deno.test("entropy() and confidence() are those of each row", () => {
  const rows = Float64Array.of(0.25, 0.25, 0.25, 0.25, 0, 1, 0, 0);
  assertEquals([...confidence(rows, 4)], [0.25, 1]);
  assertAlmostEquals(entropy(rows, 4)[0], Math.log(4), 1e-15);
  assertEquals(entropy(rows, 4)[1], 0);
});

Deno.test("computeMetrics() refuses what is no set of predictions", () => {
  const rows = Float64Array.of(0.5, 0.5, 0.5, 0.5);
  assertThrows(() => computeMetrics(new Float64Array(0), []), RangeError, "the set is empty");
  assertThrows(() => computeMetrics(rows, [0, 1, 1]), TypeError, "4 probabilities among 3 labels");
  assertThrows(() => computeMetrics(rows, [0, 1, 1, 0]), RangeError, "at least 2 classes");
  assertThrows(() => computeMetrics(rows, [0, 2]), RangeError, "row 1: its label is 2");
  assertThrows(() => computeMetrics(rows, [0.5, 1]), RangeError, "row 0: its label is 0.5");
  assertThrows(
    () => computeMetrics(Float64Array.of(0.5, 0.5, NaN, 0.5), [0, 1]),
    RangeError,
    "row 1: the probability of class 0 is NaN",
  );
  assertThrows(() => computeMetrics(Float64Array.of(-0.5, 1.5), [0]), RangeError, "class 0 is -0.5");
  assertThrows(() => computeMetrics(Float64Array.of(0.9, 0.9), [0]), RangeError, "sum to 1.8");
  assertThrows(() => computeMetrics(rows, [0, 1], [0.1]), TypeError, "1 values of mutual information");
  assertThrows(() => computeMetrics(rows, [0, 1], [0.1, NaN]), RangeError, "row 1: its mutual information is NaN");
  assertThrows(() => reliability(rows, [0, 1], 0), RangeError, "0 bins");
});

Deno.test("MetricsAccumulator names the row over all batches and keeps nothing of a refused batch", () => {
  const accumulator = new MetricsAccumulator(2);
  assertThrows(() => accumulator.metrics(), RangeError, "the set is empty");
  accumulator.add(Float64Array.of(0.5, 0.5, 0.25, 0.75), [0, 1]);
  const before = accumulator.metrics();
  assertThrows(() => accumulator.add(Float64Array.of(0.5, 0.5, NaN, 0), [0, 1]), RangeError, "row 3");
  assertThrows(() => accumulator.add(Float64Array.of(0.5, 0.5), [0], [0.1]), TypeError, "every batch or none");
  assertEquals(accumulator.metrics(), before);
  assertEquals(accumulator.n, 2);
});

function average(): Float64Array {
  return members[0].map((_, i) => members.reduce((sum, member) => sum + member[i], 0) / members.length);
}
