/** Components and evidence against numpy's and scikit-learn's (`write_subspaces.py`). */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { logEvidence, minkaRank } from "../../../lib/priors/subspace/minka.ts";
import { principalComponents } from "../../../lib/priors/subspace/principal_components.ts";
import { randomDirections } from "../../../lib/priors/subspace/random_directions.ts";
import recorded from "../../fixtures/subspaces.json" with { type: "json" };
import { gramOfColumns, stream } from "./dense.ts";

const ROWS = recorded.components.rows.map((row) => Float32Array.from(row));

Deno.test("principalComponents() is the best approximation of Q^T Q, as numpy's SVD has it", () => {
  for (const [rank, covariance] of Object.entries(recorded.components.covariance)) {
    const { rows, spectrum } = principalComponents(ROWS, Number(rank));
    assertEquals(rows.length, Number(rank));
    spectrum.forEach((value, k) => assertAlmostEquals(value / recorded.components.spectrum[k], 1, 1e-10));
    // Rows are rounded to float32.
    gramOfColumns(rows).forEach((value, i) => assertAlmostEquals(value, covariance[i], 1e-6 * spectrum[0]));
  }
});

Deno.test("principalComponents() gives orthogonal rows, largest first, whose squares are the eigenvalues", () => {
  const { rows, spectrum } = principalComponents(ROWS, 7);
  rows.forEach((a, k) =>
    rows.forEach((b, l) => {
      const product = a.reduce((sum, value, p) => sum + value * b[p], 0);
      assertAlmostEquals(product, k === l ? spectrum[k] : 0, 1e-6 * spectrum[0]);
    })
  );
  assert(spectrum.every((value, k) => k === 0 || value <= spectrum[k - 1]));
});

Deno.test("principalComponents() never keeps more rows than the factor's rank, and none of no rows", () => {
  const twice = [ROWS[0], ROWS[1], ROWS[0].map((value, p) => value + ROWS[1][p])];
  // The third row is rounded: what is left of it is far below the eigenvalues of the other two.
  assertEquals(principalComponents([ROWS[0], ROWS[1], ROWS[0]], 3).rows.length, 2);
  assert(principalComponents(twice, 3).spectrum[2] === undefined || principalComponents(twice, 3).spectrum[2] < 1e-9);
  assertEquals(principalComponents([], 3).rows, []);
  assertEquals(principalComponents([new Float32Array(4)], "mle").rows, []);
});

Deno.test("logEvidence() and minkaRank() are scikit-learn's, and find the rank that was planted", () => {
  for (const { spectrum, samples, evidence, chosen, planted } of recorded.evidence) {
    const values = Float64Array.from(spectrum);
    // Ours is of the spectrum over its largest value, which moves every rank's evidence alike.
    const shift = logEvidence(values, 1, samples) - evidence[0];
    evidence.forEach((expected, k) => {
      assertAlmostEquals(logEvidence(values, k + 1, samples) - shift, expected, 1e-6);
    });
    assertEquals([minkaRank(values, samples), chosen], [planted, planted]);
  }
});

Deno.test("principalComponents() with rank mle finds the rank that was planted among many weights", () => {
  for (const rank of [1, 2, 4]) {
    assertEquals(principalComponents(stream(8, 4000, rank, 0.02, rank), "mle").rows.length, rank);
  }
});

Deno.test("randomDirections() has the variance as the expectation of Q^T Q, and depends on the seed alone", () => {
  const variance = Float32Array.from([0.01, 1, 4]), seeds = 4000, rank = 2;
  const sum = new Float64Array(9);
  for (let seed = 0; seed < seeds; seed++) {
    gramOfColumns(randomDirections(variance, rank, seed)).forEach((value, i) => sum[i] += value / seeds);
  }
  sum.forEach((value, i) => {
    const row = Math.floor(i / 3), column = i % 3, unit = Math.sqrt(variance[row] * variance[column]);
    // Standard error of a mean of `seeds` products, each of variance (1 or 2) / rank.
    assertAlmostEquals(value, row === column ? variance[row] : 0, 5 * unit * Math.sqrt(2 / rank / seeds));
  });
  assertEquals(randomDirections(variance, 2, 7), randomDirections(variance, 2, 7));
  assert(randomDirections(variance, 1, 7)[0].some((value, p) => value !== randomDirections(variance, 1, 8)[0][p]));
  assertEquals(randomDirections(variance, 0, 7), []);
});
