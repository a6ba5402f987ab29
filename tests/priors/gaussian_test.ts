import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import type { PriorStep, SamplerName } from "../../lib/inference/samplers.ts";
import {
  diagonalise,
  type Gaussian,
  isotropic,
  logDensity,
  shiftedGaussian,
  stiffness,
} from "../../lib/priors/gaussian.ts";
import type { Swag } from "../../lib/priors/swag.ts";
import { gpuTests } from "../gpu/harness.ts";
import { Workbench } from "../inference/workbench.ts";
import { hashedUnit } from "../reference/hashed.ts";
import {
  denseCovariance,
  gradientDense,
  logDensityDense,
  logDensityWoodbury,
  type LowRankNormal,
} from "../reference/low_rank_normal.ts";
import { swagPrior, truncatedFactors } from "../reference/swag.ts";

const gpuTest = gpuTests();
const SIZES = [37, 70, 93], SIZE = 200;

function values(stream: number, size = SIZE): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: size }, (_, i) => hashedUnit(stream, i));
}

function wide(row: Float32Array): Float64Array {
  return Float64Array.from(row);
}

/** As SGD leaves it: variances over four decades, rows nearly parallel. */
function swagOf(size = SIZE, rank = 5, apart = 0.05): Swag {
  const variance = values(2, size).map((x) => 10 ** (2 * x - 4)), shared = values(3, size);
  const rows = Array.from(
    { length: rank },
    (_, k) => values(10 + k, size).map((x, i) => (shared[i] + apart * x) * Math.sqrt(variance[i]) / 2),
  );
  return { mean: values(1, size), variance, covFactor: rows };
}

function referenceOf({ mean, variance, covFactor }: Swag, scale: number, eps: number): LowRankNormal {
  return swagPrior(wide(mean), wide(variance), covFactor.map(wide), scale, eps);
}

/** Theta in the span of the rows, and off it. */
function thetasOf({ mean, covFactor }: Swag): Float32Array<ArrayBuffer>[] {
  const inside = mean.map((m, i) => covFactor.reduce((sum, row, k) => sum + (k - 1.5) * row[i], m));
  return [
    inside as Float32Array<ArrayBuffer>,
    mean.map((m, i) => m + 0.02 * hashedUnit(50, i)) as Float32Array<ArrayBuffer>,
  ];
}

async function withPrior<T>(
  gpu: Gpu,
  prior: Gaussian,
  sizes: readonly number[],
  use: (bench: Workbench) => Promise<T>,
  sampler: SamplerName = "sgd",
  priorStep: PriorStep = "explicit",
): Promise<T> {
  const settings = { sampler, momentum: sampler === "sghmc" ? 0.9 : 0, temperature: 1, numData: 1, priorStep };
  const bench = await Workbench.create(gpu, { sizes, settings, learningRate: 1e-7, prior });
  try {
    return await use(bench);
  } finally {
    bench.destroy();
  }
}

gpuTest("logDensity() and FlatUpdate.logPrior() equal a dense Cholesky in float64 within 1e-5", async (gpu) => {
  for (const [scale, eps] of [[1, 1e-8], [1, 0.1], [100, 1e-8], [1e5, 1e-3], [1e10, 0.1]]) {
    for (const apart of [1, 0.05, 1e-3]) {
      const swag = swagOf(SIZE, 5, apart), reference = referenceOf(swag, scale, eps);
      const prior = shiftedGaussian(swag, { scale, eps });
      await withPrior(gpu, prior, SIZES, async (bench) => {
        for (const theta of thetasOf(swag)) {
          const expected = logDensityDense(wide(theta), reference);
          bench.start(theta, 0);
          for (const found of [logDensity(prior, theta), await bench.update.logPrior()]) {
            const error = Math.abs(found / expected - 1);
            assert(error < 1e-5, `log density at scale ${scale}, eps ${eps} is ${found}, not ${expected}: ${error}`);
          }
        }
      });
    }
  }
});

gpuTest("the explicit step's gradient equals a dense Cholesky in float64", async (gpu) => {
  for (const scale of [1, 1e4]) {
    const swag = swagOf(),
      prior = shiftedGaussian(swag, { scale, eps: 1e-6 }),
      reference = referenceOf(swag, scale, 1e-6);
    await withPrior(gpu, prior, SIZES, async (bench) => {
      for (const theta of thetasOf(swag)) {
        bench.start(theta, 0, new Float32Array(SIZE));
        bench.step();
        // Momentum 0: the state is the gradient of -log p / N, N = 1.
        const found = await bench.update.state!.read(), expected = gradientDense(wide(theta), reference);
        const most = theta.reduce((m, x, i) => Math.max(m, Math.abs(x - swag.mean[i]) / prior.psi[i]), 0);
        found.forEach((value, i) => assertAlmostEquals(value, -expected[i], 2e-6 * most));
      }
    });
  }
});

for (const sampler of ["sgd", "sgld", "sghmc", "psgld"] as const) {
  for (const priorStep of ["explicit", "implicit"] as const) {
    Deno.test(`${sampler} with ${priorStep} prior step is the same in shards and segments; padding never counts`, async () => {
      const sizes = [300, 77, 1000, 5], size = 1382;
      const swag = swagOf(size, 3), prior = shiftedGaussian(swag, { scale: 10, eps: 1e-5 });
      const run = async (maxBindingBytes?: number) => {
        const gpu = await openGpu({ maxBindingBytes });
        try {
          return await withPrior(
            gpu,
            prior,
            sizes,
            async (bench) => {
              bench.start(swag.mean, 1, new Float32Array(size));
              for (let step = 0; step < 20; step++) bench.step(1);
              const theta = await bench.theta.read();
              return { theta, logPrior: await bench.update.logPrior(), shards: bench.layout.shards.length };
            },
            sampler,
            priorStep,
          );
        } finally {
          gpu.destroy();
        }
      };
      const whole = await run(), cut = await run(4096);
      assertEquals([whole.shards, cut.shards], [1, 3]);
      // Sums are taken in another order.
      cut.theta.forEach((value, i) => assertAlmostEquals(value, whole.theta[i], 1e-6));
      for (const { theta, logPrior } of [whole, cut]) {
        const expected = logDensityWoodbury(wide(theta), referenceOf(swag, 10, 1e-5));
        assert(Math.abs(logPrior / expected - 1) < 1e-5, `log density is ${logPrior}, not ${expected}`);
      }
    });
  }
}

Deno.test("shiftedGaussian() is N(mean, scale (diag(variance) + Q^T Q) / 2 + eps I), the newest rows renormalised", () => {
  const swag = swagOf(40, 5, 0.5);
  for (const rank of [undefined, 5, 3, 2]) {
    const { psi, rows, mean } = shiftedGaussian(swag, { scale: 7, eps: 0.01, rank });
    const factors = truncatedFactors(swag.covFactor.map(wide), rank ?? 5);
    const expected = denseCovariance(swagPrior(wide(swag.mean), wide(swag.variance), factors, 7, 0.01));
    const found = denseCovariance({ mean: wide(mean), psi: wide(psi), factors: rows.map(wide) });
    found.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-6));
  }
});

Deno.test("shiftedGaussian() in compat mode is the original's W = scale Q of the oldest rows, without 1/2", () => {
  const swag = swagOf(40, 5, 0.5), scale = 3;
  const { psi, rows } = shiftedGaussian(swag, { scale, eps: 0.01, rank: 2, compat: true });
  const expected = denseCovariance({
    mean: wide(swag.mean),
    psi: wide(swag.variance).map((value) => scale * value + 0.01),
    factors: swag.covFactor.slice(0, 2).map((row) => wide(row).map((value) => scale * value)),
  });
  const found = denseCovariance({ mean: wide(swag.mean), psi: wide(psi), factors: rows.map(wide) });
  found.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-6));
});

Deno.test("diagonalise() keeps W W^T and makes W^T Psi^-1 W diagonal, also for parallel and for zero rows", () => {
  const psi = values(2, 50).map((x) => 1.1 + x), first = values(3, 50);
  const rows = [first, first.map((x) => x * 1.0001), new Float32Array(50), values(4, 50)];
  const { rows: rotated, gram } = diagonalise(values(1, 50), psi, rows);
  const covariance = (factors: readonly Float32Array[]) =>
    denseCovariance({ mean: new Float64Array(50), psi: wide(psi), factors: factors.map(wide) });
  const found = covariance(rotated);
  covariance(rows).forEach((value, i) => assertAlmostEquals(found[i], value, 1e-5));
  rotated.forEach((a, i) =>
    rotated.forEach((b, j) => {
      const product = a.reduce((sum, value, p) => sum + value * b[p] / psi[p], 0);
      assertAlmostEquals(product, i === j ? gram[i] : 0, 1e-5);
    })
  );
});

Deno.test("isotropic() and stiffness() are what they say; impossible priors are refused", () => {
  const prior = isotropic(Float32Array.of(1, 2), 0.25);
  assertAlmostEquals(logDensity(prior, Float32Array.of(1, 3)), -Math.log(2 * Math.PI) - Math.log(0.25) - 2, 1e-12);
  assertEquals(stiffness({ ...prior, psi: Float32Array.of(0.5, 0.25, 2) }), 4);
  const swag = swagOf(10, 3);
  assertThrows(() => isotropic(swag.mean, 0), RangeError, "the variance is 0");
  assertThrows(() => shiftedGaussian(swag, { scale: -1, eps: 0 }), RangeError, "the scale is -1");
  assertThrows(() => shiftedGaussian(swag, { scale: 1, eps: NaN }), RangeError, "eps is NaN");
  assertThrows(() => shiftedGaussian(swag, { scale: 1, eps: 0, rank: 4 }), RangeError, "rank 4");
  const still = { ...swag, variance: new Float32Array(10) };
  assertThrows(() => shiftedGaussian(still, { scale: 1, eps: 0 }), RangeError, "smallest variance is 0");
});
