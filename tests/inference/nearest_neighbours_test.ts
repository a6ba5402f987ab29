/** Nearest neighbours by similarities from the device against all of them one after another in float64. */

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { type LabelledFeatures, type NeighbourOptions, Shortlist } from "../../lib/evaluation/nearest_neighbours.ts";
import { neighbourAccuracy, neighbourClasses } from "../../lib/inference/nearest_neighbours.ts";
import { PhiloxSequence } from "../../lib/random/philox.ts";
import { gpuTests } from "../gpu/harness.ts";
import { neighbourClasses as reference } from "../reference/nearest_neighbours.ts";

const gpuTest = gpuTests();
/** Products by the schedule of GPUs. */
const tileTest = gpuTests({ schedule: "gpu" });

function labelled(rows: readonly (readonly number[])[], labels: readonly number[]): LabelledFeatures {
  return { features: Float32Array.from(rows.flat()), labels: Uint32Array.from(labels) };
}

/** Features by example and column, and labels that they say nothing of. */
function drawn(
  count: number,
  width: number,
  seed: number,
  feature: (random: PhiloxSequence, example: number, column: number) => number,
): LabelledFeatures {
  const random = new PhiloxSequence(seed, 100);
  return {
    features: Float32Array.from(
      { length: count * width },
      (_, i) => feature(random, Math.floor(i / width), i % width),
    ),
    labels: Uint32Array.from({ length: count }, () => random.below(5)),
  };
}

const BANK = labelled([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [-1, 0]], [0, 0, 1, 1, 2]);

gpuTest("neighbourAccuracy() goes by the angle, not by the length", async (gpu) => {
  const queries = labelled([[100, 1], [0.001, 0.01], [-5, 0.1]], [0, 1, 2]);
  const accuracy = (labels: number[]) =>
    neighbourAccuracy(gpu, BANK, { ...queries, labels: Uint32Array.from(labels) }, { numClasses: 3, neighbours: 1 });
  assertEquals([await accuracy([0, 1, 2]), await accuracy([0, 0, 2])], [1, 2 / 3]);
});

gpuTest("neighbourAccuracy() lets the nearest outvote the many, the more the lower the temperature", async (gpu) => {
  // One neighbour of class 0 straight ahead, three of class 1 at about 37 degrees.
  const bank = labelled([[1, 0], [0.8, 0.6], [0.8, 0.6], [0.8, -0.6]], [0, 1, 1, 1]);
  const query = labelled([[1, 0]], [0]);
  const at = (temperature: number) =>
    neighbourAccuracy(gpu, bank, query, { numClasses: 2, neighbours: 4, temperature });
  // exp(0.2 / T) against 3: the balance is at T = 0.182.
  assertEquals([await at(0.07), await at(0.17), await at(0.19), await at(1)], [1, 1, 0, 0]);
});

gpuTest(
  "neighbourAccuracy() takes all there are where fewer are there, and refuses what cannot be compared",
  async (gpu) => {
    assertEquals(await neighbourAccuracy(gpu, BANK, labelled([[1, 0.01]], [0]), { numClasses: 3 }), 1);
    const empty = labelled([], []), three = labelled([[1, 0, 0]], [0]);
    await assertRejects(
      () => neighbourAccuracy(gpu, empty, BANK, { numClasses: 3 }),
      RangeError,
      "at least one of each",
    );
    await assertRejects(() => neighbourAccuracy(gpu, BANK, three, { numClasses: 3 }), TypeError, "one width");
  },
);

gpuTest(
  "neighbourClasses() finds no class of features that are not numbers, and no neighbour among them",
  async (gpu) => {
    const queries = labelled([[NaN, 1], [1, 0.1], [0, 0]], [0, 0, 0]);
    const bank = labelled([[NaN, NaN], [Infinity, 0], [1, 0], [0, 1]], [2, 2, 0, 1]);
    const classes = await neighbourClasses(gpu, bank, queries, { numClasses: 3, neighbours: 1 });
    // Nothing is like zeros: of equally unlike ones the first counts.
    assertEquals([...classes], [3, 0, 0]);
  },
);

/** Sets that tell one way to rank from another. */
const SETS: [string, LabelledFeatures, LabelledFeatures, Partial<NeighbourOptions>][] = [
  [
    "some of each class, at odd sizes",
    drawn(301, 13, 1, (random) => random.normal()),
    drawn(57, 13, 2, (random) => random.normal()),
    {},
  ],
  [
    "several blocks of examples and of queries",
    drawn(4100, 8, 3, (random) => random.normal()),
    drawn(1030, 8, 4, (random) => random.normal()),
    { temperature: 0.2 },
  ],
  [
    "many that are equally similar",
    drawn(400, 4, 5, (random) => random.below(3) - 1),
    drawn(150, 4, 6, (random) => random.below(3) - 1),
    { neighbours: 7 },
  ],
  [
    "more neighbours than examples",
    drawn(11, 6, 7, (random) => random.normal()),
    drawn(40, 6, 8, (random) => random.normal()),
    { neighbours: 20, temperature: 0.5 },
  ],
  [
    "similarities that float32 cannot tell apart",
    drawn(500, 64, 9, (random, _, column) => Math.sin(column) + 5e-4 * random.normal()),
    drawn(120, 64, 10, (random, _, column) => Math.sin(column) + 5e-4 * random.normal()),
    { neighbours: 1 },
  ],
];

for (const [name, bank, queries, options] of SETS) {
  const all = { numClasses: 5, ...options }, expected = reference(bank, queries, all);
  gpuTest(`neighbourClasses() are those of all similarities in float64: ${name}`, async (gpu) => {
    assert(new Set(expected).size > 2);
    assertEquals([...await neighbourClasses(gpu, bank, queries, all)], expected);
    assertNotEquals(expected, reference(bank, queries, { ...all, neighbours: 3 }));
  });
  tileTest(`neighbourClasses() are the same by tiles: ${name}`, async (gpu) => {
    assertEquals([...await neighbourClasses(gpu, bank, queries, all)], expected);
  });
}

Deno.test("Shortlist keeps what rounding may hide, and little else", () => {
  const shortlist = new Shortlist(2, 100, 2), bound = 2 * 102 * 2 ** -24;
  const near = Math.fround(0.5 - 0.9 * bound), far = Math.fround(0.5 - 1.1 * bound);
  // The second query finds all of them alike.
  [0.1, near, far, 0.5, 0.9, far, near, NaN, 0.2].forEach((similarity, place) =>
    shortlist.offer(place, Float32Array.of(similarity, 0.3))
  );
  assertEquals(shortlist.candidates(0), [1, 3, 4, 6]);
  assertEquals(shortlist.candidates(1), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});
