import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { mergeSwag } from "../../lib/priors/merge.ts";
import type { Swag } from "../../lib/priors/swag.ts";
import recorded from "../fixtures/subspaces.json" with { type: "json" };
import { covarianceOf } from "./subspace/dense.ts";

const PARTS: readonly Swag[] = recorded.mixture.parts.map(({ mean, variance, covFactor }) => ({
  mean: Float32Array.from(mean),
  variance: Float32Array.from(variance),
  covFactor: covFactor.map((row) => Float32Array.from(row)),
}));
const { weights } = recorded.mixture;

Deno.test("mergeSwag() has the mixture's mean and covariance, as numpy has them dense, where the rank permits", () => {
  // Ranks 2 + 3 + 1 and two differences of means.
  for (const maxRank of [8, 20]) {
    const { swag, kept, dropped } = mergeSwag(PARTS, { weights, maxRank });
    assertEquals([swag.covFactor.length, swag.kind, dropped], [8, "mixture", 0]);
    assertAlmostEquals(kept, 1, 1e-12);
    swag.mean.forEach((value, p) => assertAlmostEquals(value, recorded.mixture.mean[p], 1e-6));
    covarianceOf(swag).forEach((value, i) => assertAlmostEquals(value, recorded.mixture.covariance[i], 1e-5));
  }
});

Deno.test("mergeSwag() below that rank keeps mean and every variance, and says what correlation it lost", () => {
  const whole = mergeSwag(PARTS, { weights, maxRank: 8 });
  let before = 1;
  for (const maxRank of [7, 4, 1, 0]) {
    const { swag, kept, dropped } = mergeSwag(PARTS, { weights, maxRank });
    assertEquals(swag.covFactor.length, maxRank);
    assertEquals(swag.mean, whole.swag.mean);
    const found = covarianceOf(swag), size = swag.mean.length;
    for (let p = 0; p < size; p++) {
      assertAlmostEquals(found[p * (size + 1)], recorded.mixture.covariance[p * (size + 1)], 1e-5);
    }
    // The first row left out is the whole merge's next one.
    const next = whole.swag.covFactor[maxRank].reduce((sum, value) => sum + value * value, 0);
    assertAlmostEquals(dropped, next / 2, 1e-4);
    assert(kept < before);
    before = kept;
  }
  assertEquals(before, 0);
});

Deno.test("mergeSwag() of one prior, or of twice the same, is that prior", () => {
  for (const parts of [[PARTS[1]], [PARTS[1], PARTS[1]]]) {
    const { swag } = mergeSwag(parts);
    assertEquals(swag.covFactor.length, 3);
    assertEquals(swag.mean, PARTS[1].mean);
    const expected = covarianceOf(PARTS[1]);
    covarianceOf(swag).forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-5));
  }
});

Deno.test("mergeSwag() weighs alike unless told otherwise, by ratios alone", () => {
  assertEquals(mergeSwag(PARTS), mergeSwag(PARTS, { weights: [1, 1, 1] }));
  const doubled = mergeSwag(PARTS, { weights: [2, 4, 8] }), plain = mergeSwag(PARTS, { weights: [1, 2, 4] });
  assertEquals(doubled, plain);
});

Deno.test("mergeSwag() refuses what cannot be merged", () => {
  const short = { mean: new Float32Array(3), variance: new Float32Array(3), covFactor: [] };
  assertThrows(() => mergeSwag([]), TypeError, "at least one");
  assertThrows(() => mergeSwag([PARTS[0], short]), TypeError, "over [12,3] parameters");
  assertThrows(() => mergeSwag(PARTS, { weights: [1, 2] }), RangeError, "weights [1,2]");
  assertThrows(() => mergeSwag(PARTS, { weights: [1, 0, 1] }), RangeError, "positive");
  assertThrows(() => mergeSwag(PARTS, { maxRank: -1 }), RangeError, "the rank is -1");
});
