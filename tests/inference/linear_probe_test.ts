import { assert, assertEquals, assertRejects } from "@std/assert";
import { fitProbe, logisticGradient, Standardisation } from "../../lib/evaluation/linear_probe.ts";
import type { LabelledFeatures } from "../../lib/evaluation/nearest_neighbours.ts";
import { estimateProbe, probeAccuracy, probeWeights } from "../../lib/inference/linear_probe.ts";
import { PhiloxSequence } from "../../lib/random/philox.ts";
import { gpuTests, withGpu } from "../gpu/harness.ts";

const gpuTest = gpuTests();

function labelled(rows: readonly (readonly number[])[], labels: readonly number[]) {
  return { features: Float32Array.from(rows.flat()), labels: Uint32Array.from(labels) } satisfies LabelledFeatures;
}

/** Points about the corners of a simplex of 4 classes in 6 dimensions, stretched along one that says nothing. */
function clusters(count: number, seed: number, spread: number) {
  const random = new PhiloxSequence(seed, 100);
  const labels = Array.from({ length: count }, (_, i) => i % 4);
  const rows = labels.map((label) =>
    Array.from({ length: 6 }, (_, i) => (i === label ? 3 : 0) + (i === 5 ? 50 : spread) * random.normal())
  );
  return labelled(rows, labels);
}

gpuTest("probeAccuracy() separates clusters in spite of a wide feature that says nothing", async (gpu) => {
  const train = clusters(400, 1, 0.5), queries = clusters(200, 2, 0.5);
  const probe = await probeAccuracy(gpu, train, queries, { numClasses: 4 });
  assert(probe > 0.97, `${probe}`);
});

gpuTest("probeAccuracy() of features that say nothing is near chance", async (gpu) => {
  const train = clusters(400, 1, 0.5), queries = clusters(400, 2, 0.5);
  const shuffled = { ...train, labels: new PhiloxSequence(3, 100).shuffle(train.labels.slice()) };
  const probe = await probeAccuracy(gpu, shuffled, queries, { numClasses: 4 });
  assert(probe < 0.45, `${probe}`);
});

gpuTest("probeAccuracy() goes with the majority of equal features, and refuses to fit nothing", async (gpu) => {
  const train = labelled([-1, 1, -1, 1, 1, -1].map((x) => [x]), [0, 1, 0, 1, 0, 1]);
  assertEquals(await probeAccuracy(gpu, train, train, { numClasses: 2 }), 4 / 6);
  const nothing = () => probeAccuracy(gpu, labelled([], []), train, { numClasses: 2 });
  await assertRejects(nothing, RangeError, "some are required");
});

Deno.test("probeWeights() from the device are those of a descent in float64, from one block or from several", async () => {
  const random = new PhiloxSequence(5, 100), width = 96, count = 5501, options = { numClasses: 4, steps: 30 };
  const train = labelled(
    Array.from(
      { length: count },
      (_, row) => Array.from({ length: width }, (_, i) => random.normal() + (i === row % 4 ? 1 : 0)),
    ),
    Array.from({ length: count }, (_, row) => row % 4),
  );
  const gradientOf = (weights: Float64Array) => logisticGradient(train.features, train.labels, weights, 4);
  const expected = await fitProbe(gradientOf, width, options);
  assert(Math.max(...expected) > 0.05);
  // 2 ** 20 bytes are 2,730 rows, so that there are three blocks, the last of one row less.
  for (const maxBindingBytes of [2 ** 20, undefined]) {
    await withGpu({ maxBindingBytes }, async (gpu) => {
      const before = gpu.live.bytes, found = await probeWeights(gpu, train, options);
      expected.forEach((weight, i) => assert(Math.abs(found[i] - weight) < 2e-6, `${i}: ${found[i]}, not ${weight}`));
      assertEquals(gpu.live.bytes, before);
      const rows = maxBindingBytes === undefined ? count : 1834, least = 4 * rows * (width + 1 + 4);
      const planned = estimateProbe(gpu, width, count, 4);
      assert(planned >= least && planned < 1.5 * least, `${planned} for ${least}`);
      assertEquals(estimateProbe(gpu, 4, count, 4), 0);
    });
  }
});

Deno.test("logisticGradient() is the slope of the mean cross-entropy", () => {
  const { features, labels } = clusters(12, 3, 0.5), numClasses = 4, scaled = features.map((x) => x / 10);
  const weights = Float64Array.from({ length: 28 }, (_, i) => Math.sin(i));
  const loss = (at: Float64Array) => {
    let sum = 0;
    for (const [row, label] of labels.entries()) {
      const logits = [0, 1, 2, 3].map((c) => {
        const inputs = scaled.subarray(row * 6, row * 6 + 6);
        return inputs.reduce((total, x, i) => total + x * at[c * 6 + i], at[24 + c]);
      });
      sum += Math.log(logits.reduce((total, logit) => total + Math.exp(logit), 0)) - logits[label];
    }
    return sum / labels.length;
  };
  const gradient = logisticGradient(scaled, labels, weights, numClasses), step = 1e-5;
  gradient.forEach((slope, i) => {
    const [up, down] = [step, -step].map((by) => loss(weights.map((weight, j) => weight + (i === j ? by : 0))));
    assert(Math.abs((up - down) / (2 * step) - slope) < 1e-8, `${i}`);
  });
});

Deno.test("Standardisation makes mean 0 and deviation 1, and leaves nothing of what never varies", () => {
  const features = Float32Array.of(1, 7, 3, 7, 5, 7, 7, 7), scales = new Standardisation(features, 2);
  const standard = scales.apply(features), deviation = Math.sqrt(5);
  assertEquals([...standard], [-3, 0, -1, 0, 1, 0, 3, 0].map((x) => Math.fround(x / deviation)));
  assertEquals([...scales.apply(Float32Array.of(4, 9))], [0, 0]);
});
