import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { cholesky, choleskyLogDeterminant, choleskySolve } from "./cholesky.ts";
import { hashedUnit } from "./hashed.ts";
import {
  compensatedSum,
  draw,
  gradientDense,
  gradientWoodbury,
  logDensityDense,
  logDensityWoodbury,
} from "./low_rank_normal.ts";
import { swagDraw, swagFactors, swagMoments, swagPrior, truncatedFactors } from "./swag.ts";

function random(stream: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => hashedUnit(stream, i));
}

/** Relative difference of two vectors. */
function difference(found: Float64Array, expected: Float64Array): number {
  return Math.hypot(...found.map((x, i) => x - expected[i])) / Math.hypot(...expected);
}

Deno.test("cholesky() factors, solves and takes the determinant of a matrix known by hand", () => {
  // [[4, 2], [2, 5]] = L Lᵀ with L = [[2, 0], [1, 2]]; its determinant is 16, and it maps [1, 2] to [8, 12].
  const lower = cholesky(Float64Array.of(4, 2, 2, 5), 2);
  assertEquals([...lower], [2, 0, 1, 2]);
  assertEquals([...choleskySolve(lower, Float64Array.of(8, 12))], [1, 2]);
  assertAlmostEquals(choleskyLogDeterminant(lower, 2), Math.log(16), 1e-15);
  assertThrows(() => cholesky(Float64Array.of(1, 2, 2, 1), 2), RangeError, "pivot 1 is -3");
});

Deno.test("compensatedSum() keeps what plain addition loses", () => {
  assertEquals(compensatedSum(4, (i) => [1, 1e100, 1, -1e100][i]), 2);
});

Deno.test("logDensityWoodbury() of one variable equals the normal density by hand", () => {
  // Variance Ψ + w² = 1 + 3 = 4, θ − μ = 2: −½ (ln 2π + ln 4 + 1).
  const normal = { mean: Float64Array.of(1), psi: Float64Array.of(1), factors: [Float64Array.of(Math.sqrt(3))] };
  const expected = -0.5 * (Math.log(2 * Math.PI) + Math.log(4) + 1);
  assertAlmostEquals(logDensityWoodbury(Float64Array.of(3), normal), expected, 1e-14);
  assertAlmostEquals(gradientWoodbury(Float64Array.of(3), normal)[0], -0.5, 1e-14);
});

Deno.test("logDensityWoodbury() without factors is the diagonal normal", () => {
  const psi = random(1, 5).map((x) => x + 2), mean = random(2, 5), theta = random(3, 5);
  const expected = theta.reduce(
    (sum, x, i) => sum - 0.5 * (Math.log(2 * Math.PI * psi[i]) + (x - mean[i]) ** 2 / psi[i]),
    0,
  );
  assertAlmostEquals(logDensityWoodbury(theta, { mean, psi, factors: [] }), expected, 1e-13);
});

for (const scale of [1, 1e5, 1e10]) {
  Deno.test(`Woodbury equals dense Cholesky for a SWAG prior at scale ${scale}`, () => {
    const size = 30, snapshots = Array.from({ length: 6 }, (_, t) => random(10 + t, size).map((x) => 0.01 * x));
    const { mean, variance, deviations } = swagMoments(snapshots, 4, 1e-10);
    const normal = swagPrior(mean, variance, swagFactors(deviations), scale, 1e-6);
    const inside = mean.map((m, i) => m + normal.factors.reduce((sum, row, k) => sum + row[i] * (k - 1.5), 0));
    for (const theta of [inside, random(20, size)]) {
      // Ψ⁻¹Σ has a condition of at most 1 + trace(WΨ⁻¹Wᵀ), a few hundred here: three digits of the sixteen.
      const dense = logDensityDense(theta, normal);
      assert(Math.abs(logDensityWoodbury(theta, normal) - dense) < 1e-10 * Math.abs(dense));
      assert(difference(gradientWoodbury(theta, normal), gradientDense(theta, normal)) < 1e-9);
    }
  });
}

Deno.test("draw() is affine in its noise with covariance diag(Ψ) + WᵀW", () => {
  const normal = { mean: Float64Array.of(1, 2), psi: Float64Array.of(4, 9), factors: [Float64Array.of(5, 6)] };
  assertEquals([...draw(normal, Float64Array.of(1, 1), Float64Array.of(0))], [3, 5]);
  assertEquals([...draw(normal, Float64Array.of(0, 0), Float64Array.of(2))], [11, 14]);
});

Deno.test("swagMoments() takes mean, variance and running deviations by hand", () => {
  const { mean, secondMoment, variance, deviations } = swagMoments(
    [[1, 2], [3, 2], [8, 2]].map((row) => Float64Array.from(row)),
    5,
    1e-6,
  );
  // Running means of the first element: 1, 2, 4; of its squares at the end: 74 / 3.
  assertEquals([...mean], [4, 2]);
  assertAlmostEquals(secondMoment[0], 74 / 3, 1e-14);
  assertAlmostEquals(variance[0], 74 / 3 - 16, 1e-13);
  assertEquals(variance[1], 1e-6);
  assertEquals(deviations.map((row) => [...row]), [[1, 0], [4, 0]]);
});

Deno.test("swagFactors() and truncatedFactors() keep the newest rows and divide by √(rank − 1)", () => {
  const deviations = [[1], [2], [3], [4], [5]].map((row) => Float64Array.from(row));
  const factors = swagFactors(deviations);
  assertEquals(factors.map(([value]) => value), [0.5, 1, 1.5, 2, 2.5]);
  const newest = truncatedFactors(factors, 3), direct = swagFactors(deviations.slice(2));
  newest.forEach((row, k) => assertAlmostEquals(row[0], direct[k][0], 1e-14));
  assertThrows(() => swagFactors(deviations.slice(4)), RangeError, "at least 2");
  assertThrows(() => truncatedFactors(factors, 1), RangeError, "between 2 and 5");
});

Deno.test("swagPrior() at scale 1 without ε draws what swagDraw() draws", () => {
  const mean = random(30, 6), variance = random(31, 6).map((x) => x + 1.5), factors = [random(32, 6), random(33, 6)];
  const z1 = random(34, 6), z2 = random(35, 2);
  const found = draw(swagPrior(mean, variance, factors, 1, 0), z1, z2);
  assert(difference(found, swagDraw(mean, variance, factors, z1, z2)) < 1e-15);
});
