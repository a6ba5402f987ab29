import { assert } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { PriorStep } from "../../lib/inference/samplers.ts";
import { shiftedGaussian } from "../../lib/priors/gaussian.ts";
import type { Swag } from "../../lib/priors/swag.ts";
import { gpuTests } from "../gpu/harness.ts";
import { Workbench } from "../inference/workbench.ts";
import { cholesky, choleskySolve } from "../reference/cholesky.ts";
import { hashedUnit } from "../reference/hashed.ts";
import { compensatedSum, logDensityWoodbury, type LowRankNormal } from "../reference/low_rank_normal.ts";
import { swagPrior } from "../reference/swag.ts";

const gpuTest = gpuTests();
const SIZE = 1_000_000, RANK = 4, EPS = 1e-8;
const SCALES = [1, 1e2, 1e4, 1e6, 1e8, 1e10];

function generate(of: (index: number) => number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(SIZE);
  for (let i = 0; i < SIZE; i++) result[i] = of(i);
  return result;
}

/** A million parameters as SGD leaves them: variances over four decades, rows that differ by a twentieth. */
function learned(): Swag {
  const variance = generate((i) => 10 ** (2 * hashedUnit(2, i) - 4));
  const rows = Array.from(
    { length: RANK },
    (_, k) => generate((i) => (hashedUnit(3, i) + 0.05 * hashedUnit(10 + k, i)) * Math.sqrt(variance[i]) / 2),
  );
  return { mean: generate((i) => 0.1 * hashedUnit(1, i)), variance, covFactor: rows };
}

let swag: Swag | undefined;

function shared(): Swag {
  return swag ??= learned();
}

/** Where the gradient is taken: at a typical draw, off the span, and in it. */
function thetaOf(where: "outside" | "inside"): Float32Array<ArrayBuffer> {
  const { mean, covFactor } = shared();
  return where === "outside"
    ? generate((i) => mean[i] + 0.01 * hashedUnit(50, i))
    : generate((i) => covFactor.reduce((sum, row, k) => sum + (k - 1) * row[i], mean[i]));
}

/** Reference (Psi + shift + W W^T)^-1 u and what it takes away, in float64. */
function solveShifted({ psi, factors }: LowRankNormal, u: Float64Array, shift: number): Float64Array {
  const rank = factors.length, y = new Float64Array(rank), matrix = new Float64Array(rank * rank);
  for (let k = 0; k < rank; k++) {
    y[k] = compensatedSum(SIZE, (i) => factors[k][i] * u[i] / (psi[i] + shift));
    for (let l = 0; l <= k; l++) {
      const product = compensatedSum(SIZE, (i) => factors[k][i] * factors[l][i] / (psi[i] + shift));
      matrix[k * rank + l] = matrix[l * rank + k] = product + (k === l ? 1 : 0);
    }
  }
  const c = choleskySolve(cholesky(matrix, rank), y);
  return u.map((value, i) => {
    let inSpan = 0;
    for (let k = 0; k < rank; k++) inSpan += factors[k][i] * c[k];
    return (value - inSpan) / (psi[i] + shift);
  });
}

function norm(values: ArrayLike<number>, of = (i: number) => values[i]): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += of(i) ** 2;
  return Math.sqrt(sum);
}

interface Case {
  readonly scale: number;
  readonly theta: Float32Array<ArrayBuffer>;
  readonly priorStep: PriorStep;
  readonly learningRate: number;
}

/** One step of sgd with momentum 0, N = 1 and no likelihood: gradient (state), theta and log prior at the start. */
async function oneStep(gpu: Gpu, { scale, theta, priorStep, learningRate }: Case) {
  const prior = shiftedGaussian(shared(), { scale, eps: EPS });
  const settings = { sampler: "sgd" as const, momentum: 0, temperature: 0, numData: 1, priorStep };
  const bench = await Workbench.create(gpu, { sizes: [SIZE], settings, learningRate, prior });
  try {
    bench.start(theta, 0);
    const logPrior = await bench.update.logPrior();
    bench.step();
    return { logPrior, gradient: await bench.update.state!.read(), theta: await bench.theta.read() };
  } finally {
    bench.destroy();
  }
}

function referenceOf(scale: number): LowRankNormal {
  const { mean, variance, covFactor } = shared();
  const wide = (row: Float32Array) => Float64Array.from(row);
  return swagPrior(wide(mean), wide(variance), covFactor.map(wide), scale, EPS);
}

function seen(text: string): void {
  // deno-lint-ignore no-console
  if (Deno.env.get("SEEN")) console.log(text);
}

for (const where of ["outside", "inside"] as const) {
  gpuTest(
    `the prior's gradient at a million parameters equals float64, scales 1 to 1e10, ${where} the span`,
    async (gpu) => {
      const theta = thetaOf(where);
      for (const scale of SCALES) {
        const found = await oneStep(gpu, { scale, theta, priorStep: "explicit", learningRate: 0 });
        const reference = referenceOf(scale);
        const delta = Float64Array.from(theta, (value, i) => value - reference.mean[i]);
        const expected = solveShifted(reference, delta, 0);
        const error = norm(expected, (i) => found.gradient[i] - expected[i]);
        const whole = norm(delta, (i) => delta[i] / reference.psi[i]);
        const logPrior = logDensityWoodbury(Float64Array.from(theta), reference);
        const density = Math.abs(found.logPrior / logPrior - 1);
        seen(
          `${where} ${scale}: gradient error over its norm ${
            (error / norm(expected)).toExponential(1)
          }, over |Psi^-1 d| ` +
            `${(error / whole).toExponential(1)}, log density ${density.toExponential(1)}`,
        );
        // Outside the span against the gradient itself. Inside, the gradient is what is left of Psi^-1 d where all but a part
        // in 1 + W Psi^-1 W^T is taken away: float32 resolves Psi^-1 d.
        assert(error < 1e-6 * (where === "outside" ? norm(expected) : whole), `scale ${scale}: error ${error}`);
        assert(density < 1e-5, `scale ${scale}: log density off by ${density}`);
      }
    },
  );

  gpuTest(
    `the implicit step at a million parameters equals float64, scales 1, 1e4 and 1e10, ${where} the span`,
    async (gpu) => {
      const theta = thetaOf(where);
      for (const scale of [1, 1e4, 1e10]) {
        for (const learningRate of scale === 1e4 ? [1e-7, 1e-4, 1] : [1e-3]) {
          const found = await oneStep(gpu, { scale, theta, priorStep: "implicit", learningRate });
          const reference = referenceOf(scale);
          const delta = Float64Array.from(theta, (value, i) => value - reference.mean[i]);
          // (I + k S^-1)^-1 d = d - k (S + k)^-1 d
          const solved = solveShifted(reference, delta, learningRate);
          const expected = delta.map((value, i) => value - learningRate * solved[i]);
          const error = norm(expected, (i) => found.theta[i] - reference.mean[i] - expected[i]);
          seen(
            `${where} ${scale}, k ${learningRate}: implicit error over |d| ${
              (error / norm(delta)).toExponential(1)
            }, |d'|/|d| ` +
              (norm(expected) / norm(delta)).toExponential(1),
          );
          // Theta itself is rounded to float32.
          const rounding = 2 ** -24 * norm(theta);
          assert(error < 1e-6 * norm(delta) + rounding, `scale ${scale}, k ${learningRate}: error ${error}`);
        }
      }
    },
  );
}
