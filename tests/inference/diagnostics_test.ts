import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { diagnose, essBulk, essMean, mcseMean, mcseVariance, rHat } from "../../lib/inference/diagnostics.ts";
import { PhiloxSequence, Stream } from "../../lib/random/philox.ts";
import fixture from "../fixtures/diagnostics.json" with { type: "json" };

for (const [name, expected] of Object.entries(fixture)) {
  Deno.test(`diagnose() matches numpy on ${name} chains`, () => {
    const found = { ...diagnose(expected.chains), essMean: essMean(expected.chains) };
    for (const key of ["mean", "variance", "ess", "essMean", "rHat", "mcseMean", "mcseVariance"] as const) {
      // The fixture has its autocovariances by FFT: relative rounding of about 1e-13, more where a pair nearly vanishes.
      assertAlmostEquals(found[key] / expected[key], 1, 1e-9, key);
    }
  });
}

Deno.test("essMean() of AR(1) chains is n(1−ρ)/(1+ρ)", () => {
  for (const rho of [-0.5, 0, 0.5, 0.9]) {
    const chains = [0, 1, 2, 3].map((chain) => autoregressive(rho, 5000, chain));
    const exact = 20000 * (1 - rho) / (1 + rho);
    // The estimate of τ has a relative standard error of about 0.02–0.06 here; 15 % is far outside a wrong formula.
    assertAlmostEquals(essMean(chains) / exact, 1, 0.15, `ρ = ${rho}`);
    assertAlmostEquals(essBulk(chains) / exact, 1, 0.15, `ρ = ${rho}`);
    assert(rHat(chains) < 1.01);
  }
});

Deno.test("mcseMean() and mcseVariance() are the spread of the estimates over repeated AR(1) runs", () => {
  const rho = 0.6, repeats = 200, draws = 400;
  const means: number[] = [], variances: number[] = [], meanErrors: number[] = [], varianceErrors: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const chain = [autoregressive(rho, draws, 100 + repeat)];
    const { mean, variance } = diagnose(chain);
    means.push(mean);
    variances.push(variance);
    meanErrors.push(mcseMean(chain));
    varianceErrors.push(mcseVariance(chain));
  }
  // A standard deviation from 200 runs is known to 5 %; both estimates are a little low on short chains.
  assertAlmostEquals(average(meanErrors) / deviation(means), 1, 0.2);
  assertAlmostEquals(average(varianceErrors) / deviation(variances), 1, 0.2);
  // Exact: Var[mean] ≈ (1+ρ)/(1−ρ)/n; Var[variance] ≈ 2(1+ρ²)/(1−ρ²)/n.
  assertAlmostEquals(average(meanErrors) / Math.sqrt((1 + rho) / (1 - rho) / draws), 1, 0.15);
  assertAlmostEquals(average(varianceErrors) / Math.sqrt(2 * (1 + rho ** 2) / (1 - rho ** 2) / draws), 1, 0.15);
});

Deno.test("diagnose() of constant chains claims nothing", () => {
  const { ess, rHat, mcseMean, mcseVariance, mean, variance } = diagnose([[2, 2, 2, 2, 2], [2, 2, 2, 2, 2]]);
  assertEquals({ ess, rHat, mcseMean, mcseVariance, mean, variance }, {
    ess: 0,
    rHat: NaN,
    mcseMean: NaN,
    mcseVariance: NaN,
    mean: 2,
    variance: 0,
  });
});

Deno.test("rHat() is infinite for chains stuck at different values, and they are worth one draw each", () => {
  const stuck = [new Float64Array(100).fill(1), new Float64Array(100).fill(2)];
  assertEquals(rHat(stuck), Infinity);
  // Every ρ is 1, so over halves of 50 draws τ = 2·50 − 1.
  assertAlmostEquals(essBulk(stuck), 200 / 99, 1e-12);
});

Deno.test("essBulk() of antithetic chains exceeds the number of draws, up to n·log₁₀ n", () => {
  const chains = [0, 1].map((chain) => autoregressive(-0.8, 1000, chain));
  assert(essBulk(chains) > 2000);
  const alternating = [Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 1 : -1))];
  assertAlmostEquals(essMean(alternating), 200, 1e-9);
});

Deno.test("rHat() finds a shifted, a scaled and a drifting chain", () => {
  const chains = [0, 1, 2, 3].map((chain) => autoregressive(0, 500, chain));
  assert(rHat(chains) < 1.01);
  assert(rHat([...chains.slice(1), chains[0].map((x) => x + 1)]) > 1.05);
  assert(rHat([...chains.slice(1), chains[0].map((x) => x * 4)]) > 1.05);
  assert(rHat([chains[0].map((x, t) => x + t / 250)]) > 1.05);
});

Deno.test("rHat() and essBulk() do not change under a monotone map of the draws", () => {
  const chains = [0, 1].map((chain) => autoregressive(0.3, 200, chain));
  const mapped = chains.map((chain) => chain.map((x) => Math.exp(3 * x)));
  assertEquals(essBulk(mapped), essBulk(chains));
});

Deno.test("diagnose() refuses what are no chains", () => {
  assertThrows(() => diagnose([]), RangeError, "none was given");
  assertThrows(() => diagnose([[1, 2, 3]]), RangeError, "chains of 3 draws: at least 4");
  assertThrows(() => diagnose([[1, 2, 3, 4], [1, 2, 3, 4, 5]]), TypeError, "4 and 5 draws");
  assertThrows(() => diagnose([[1, 2, 3, 4], [1, 2, NaN, 4]]), RangeError, "chain 1: draw 2 is NaN");
});

/** A stationary AR(1) chain of unit variance. */
function autoregressive(rho: number, draws: number, chain: number): Float64Array {
  const random = new PhiloxSequence(1, Stream.noise, chain);
  const out = new Float64Array(draws);
  let x = random.normal();
  for (let t = 0; t < draws; t++) {
    out[t] = x;
    x = rho * x + Math.sqrt(1 - rho ** 2) * random.normal();
  }
  return out;
}

function average(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: number[]): number {
  const centre = average(values);
  return Math.sqrt(average(values.map((value) => (value - centre) ** 2)) * values.length / (values.length - 1));
}
