import { assert, assertEquals, assertThrows } from "@std/assert";
import { probeAccuracy } from "../../lib/evaluation/linear_probe.ts";
import type { LabelledFeatures } from "../../lib/evaluation/nearest_neighbours.ts";
import { PhiloxSequence } from "../../lib/random/philox.ts";

function labelled(rows: readonly (readonly number[])[], labels: readonly number[]): LabelledFeatures {
  return { features: Float32Array.from(rows.flat()), labels: Uint32Array.from(labels) };
}

/** Points about the corners of a simplex of 4 classes in 6 dimensions, stretched along one that says nothing. */
function clusters(count: number, seed: number, spread: number): LabelledFeatures {
  const random = new PhiloxSequence(seed, 100);
  const labels = Array.from({ length: count }, (_, i) => i % 4);
  const rows = labels.map((label) =>
    Array.from({ length: 6 }, (_, i) => (i === label ? 3 : 0) + (i === 5 ? 50 : spread) * random.normal())
  );
  return labelled(rows, labels);
}

Deno.test("probeAccuracy() separates clusters in spite of a wide feature that says nothing", () => {
  const train = clusters(400, 1, 0.5), queries = clusters(200, 2, 0.5);
  const probe = probeAccuracy(train, queries, { numClasses: 4 });
  assert(probe > 0.97, `${probe}`);
});

Deno.test("probeAccuracy() of features that say nothing is near chance", () => {
  const train = clusters(400, 1, 0.5), queries = clusters(400, 2, 0.5);
  const shuffled = { ...train, labels: new PhiloxSequence(3, 100).shuffle(train.labels.slice()) };
  const probe = probeAccuracy(shuffled, queries, { numClasses: 4 });
  assert(probe < 0.45, `${probe}`);
});

Deno.test("probeAccuracy() goes with the majority of equal features, and refuses to fit nothing", () => {
  const train = labelled([-1, 1, -1, 1, 1, -1].map((x) => [x]), [0, 1, 0, 1, 0, 1]);
  assertEquals(probeAccuracy(train, train, { numClasses: 2 }), 4 / 6);
  assertThrows(() => probeAccuracy(labelled([], []), train, { numClasses: 2 }), RangeError, "some are required");
});
