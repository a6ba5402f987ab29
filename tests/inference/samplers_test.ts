import { assert, assertRejects } from "@std/assert";
import type { PriorStep, SamplerName, SamplerSettings } from "../../lib/inference/samplers.ts";
import { diagonalise, type Gaussian } from "../../lib/priors/gaussian.ts";
import { gpuTests } from "../gpu/harness.ts";
import { hashedUnit } from "../reference/hashed.ts";
import { assertEquilibrium, type EquilibriumOptions } from "./equilibrium.ts";
import { type Matrix, zeros } from "./matrices.ts";
import { posterior, stationary, type Target } from "./stationary.ts";
import { affineGradient, layoutOf, placesOf, Workbench } from "./workbench.ts";

const gpuTest = gpuTests();
const SIZES = [37, 23], SIZE = 60, EXAMPLES = 50;
const SAMPLERS = ["sgld", "sghmc", "psgld"] as const;
const STEPS = ["explicit", "implicit"] as const;

function values(stream: number, count = SIZE): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, i) => hashedUnit(stream, i));
}

/** N(mean, Psi + W W^T) with variances over `decades` and three rows as strong as the diagonal, two of them parallel. */
function priorOf(decades: number, scale = 1): { gaussian: Gaussian; covariance: Matrix } {
  const psi = Float32Array.from({ length: SIZE }, (_, i) => scale * 10 ** (-decades * (i % 12) / 11));
  const shared = values(10);
  const rows = [11, 12, 13].map((stream) =>
    values(stream).map((x, i) => (0.2 * x + (stream < 13 ? 0.8 : 0) * shared[i]) * Math.sqrt(psi[i]))
  );
  const gaussian = diagonalise(values(14), psi, rows);
  const covariance = zeros(SIZE);
  for (let i = 0; i < SIZE; i++) {
    covariance[i][i] = psi[i];
    for (const row of rows) for (let j = 0; j < SIZE; j++) covariance[i][j] += row[i] * row[j];
  }
  return { gaussian, covariance };
}

/** A dense correlated quadratic loss whose curvatures lie between 0.5 and about 4.5. */
function quadratic(): NonNullable<Target["likelihood"]> {
  const factor = Array.from({ length: SIZE }, (_, i) => values(100 + i));
  const hessian = zeros(SIZE);
  for (let i = 0; i < SIZE; i++) {
    for (let j = 0; j < SIZE; j++) {
      hessian[i][j] = (i === j ? 0.5 : 0) + factor[i].reduce((sum, x, k) => sum + x * factor[j][k], 0) / SIZE * 3;
    }
  }
  return { hessian, linear: Float64Array.from(values(15)) };
}

/** Coordinates of the largest and the least variance, a row's direction and one across everything. */
function directionsOf({ rows }: Gaussian): Float64Array[] {
  const unit = (index: number) => Float64Array.from({ length: SIZE }, (_, i) => i === index ? 1 : 0);
  const across = values(16);
  return [unit(0), unit(11), unit(41), Float64Array.from(rows[2]), Float64Array.from(across)];
}

const PRECONDITIONER = Float64Array.from(values(17), (x) => 1 + 0.4 * x);

function settingsOf(sampler: SamplerName, priorStep: PriorStep, momentum: number): SamplerSettings {
  return {
    sampler,
    momentum: sampler === "psgld" ? 1 : momentum,
    temperature: 0.7,
    numData: EXAMPLES,
    priorStep,
    damping: 1e-5,
  };
}

function casesOf(sampler: SamplerName, priorStep: PriorStep, momentum = 0.6) {
  return {
    sizes: SIZES,
    settings: settingsOf(sampler, priorStep, momentum),
    preconditioner: sampler === "psgld" ? PRECONDITIONER : undefined,
    chains: 2,
    steps: 1200,
  };
}

async function report(what: string, run: () => ReturnType<typeof assertEquilibrium>): Promise<void> {
  const seen = await run();
  if (Deno.env.get("SEEN")) {
    // deno-lint-ignore no-console
    console.log(
      `${what}: ${seen.worst.toFixed(2)} se, ess ${seen.leastEss.toFixed(0)}, energy ${seen.energy.toFixed(4)} +- ` +
        seen.energyError.toFixed(4),
    );
  }
}

/** Learning rates at which the chain mixes: h = lr / N is of the order of the prior's largest variance. */
const PRIOR_RATES = {
  explicit: { sgld: 8, psgld: 6, sghmc: 5 },
  implicit: { sgld: 50, psgld: 50, sghmc: 50 },
} as const;

for (const sampler of SAMPLERS) {
  for (const priorStep of STEPS) {
    gpuTest(`${sampler} with ${priorStep} prior step has its exact law under a correlated prior`, async (gpu) => {
      const { gaussian, covariance } = priorOf(1);
      const options: EquilibriumOptions = {
        ...casesOf(sampler, priorStep),
        target: { size: SIZE, prior: covariance },
        prior: gaussian,
        learningRate: PRIOR_RATES[priorStep][sampler],
        directions: directionsOf(gaussian),
      };
      await report(`${sampler} ${priorStep} prior`, () => assertEquilibrium(gpu, options));
    });

    gpuTest(`${sampler} with ${priorStep} prior step has its exact law under prior and likelihood`, async (gpu) => {
      const { gaussian, covariance } = priorOf(1);
      const options: EquilibriumOptions = {
        ...casesOf(sampler, priorStep),
        target: { size: SIZE, prior: covariance, likelihood: quadratic() },
        prior: gaussian,
        learningRate: 0.35,
        directions: directionsOf(gaussian),
      };
      await report(`${sampler} ${priorStep} both`, () => assertEquilibrium(gpu, options));
    });

    gpuTest(`${sampler} with ${priorStep} prior step has its exact law under a likelihood alone`, async (gpu) => {
      const { gaussian } = priorOf(1);
      const options: EquilibriumOptions = {
        ...casesOf(sampler, priorStep),
        target: { size: SIZE, likelihood: quadratic() },
        learningRate: 0.35,
        directions: directionsOf(gaussian),
      };
      await report(`${sampler} ${priorStep} likelihood`, () => assertEquilibrium(gpu, options));
    });
  }

  gpuTest(`${sampler} with implicit prior step keeps an extremely stiff prior at any learning rate`, async (gpu) => {
    const { gaussian, covariance } = priorOf(8);
    for (const learningRate of [1e-3, 1, 1e3]) {
      const target = { size: SIZE, prior: covariance };
      const cases = casesOf(sampler, "implicit");
      const law = stationary(target, cases.settings, learningRate, cases.preconditioner);
      // The law itself is the prior's, tempered.
      for (let i = 0; i < SIZE; i++) {
        for (let j = 0; j < SIZE; j++) {
          const scale = Math.sqrt(covariance[i][i] * covariance[j][j]) * cases.settings.temperature;
          const apart = Math.abs(law.covariance[i][j] - cases.settings.temperature * covariance[i][j]);
          assert(apart < 1e-6 * scale, `${sampler} ${learningRate}: ${i} ${j} is off by ${apart / scale}`);
        }
      }
      // Directions that a step hardly moves have few effective draws: their bars are as wide as that makes them.
      const options = {
        ...cases,
        target,
        prior: gaussian,
        learningRate,
        steps: 100,
        chains: 6,
        directions: directionsOf(gaussian),
        minimumEss: 0,
      };
      await report(`${sampler} implicit stiff ${learningRate}`, () => assertEquilibrium(gpu, options));
    }
  });
}

for (const sampler of SAMPLERS) {
  gpuTest(`${sampler} with implicit prior step forgets a start far off in stiff directions`, async (gpu) => {
    const { gaussian, covariance } = priorOf(8);
    const cases = casesOf(sampler, "implicit");
    const bench = await Workbench.create(gpu, { ...cases, prior: gaussian, learningRate: 5 });
    try {
      bench.start(gaussian.mean.map((x) => x + 1), 0, new Float32Array(SIZE).fill(0.0));
      const draws = await bench.record(600);
      for (let i = 0; i < SIZE; i++) {
        const variance = covariance[i][i] * cases.settings.temperature;
        // The second half: 300 draws, nearly independent where the variance is far below h = 0.1.
        if (covariance[i][i] > 1e-3) continue;
        const late = draws.slice(300).map((x) => (x[i] - gaussian.mean[i]) ** 2 / variance);
        const found = late.reduce((sum, value) => sum + value, 0) / late.length;
        assert(Math.abs(found - 1) < 5 * Math.sqrt(2 / 300) * 2, `${i}: variance is ${found} times what it must be`);
      }
    } finally {
      bench.destroy();
    }
  });
}

/** Regression y = X theta + noise of variance s^2: 40 rows of correlated features, a posterior that is known. */
function regression(): {
  features: Matrix;
  responses: Float64Array;
  variance: number;
  likelihood(mean: Float32Array): NonNullable<Target["likelihood"]>;
} {
  const shared = values(30, EXAMPLES);
  const features = Array.from(
    { length: EXAMPLES },
    (_, n) => Float64Array.from(values(200 + n), (x) => 0.6 * x + 0.1 * shared[n]),
  );
  const truth = values(31), variance = 0.25, errors = values(32, EXAMPLES);
  const responses = Float64Array.from(
    features,
    (row, n) => row.reduce((sum, x, i) => sum + x * truth[i], 0) + errors[n] * Math.sqrt(3 * variance),
  );
  return {
    features,
    responses,
    variance,
    likelihood(mean) {
      const hessian = zeros(SIZE), linear = new Float64Array(SIZE);
      features.forEach((row, n) => {
        const residual = responses[n] - row.reduce((sum, x, i) => sum + x * mean[i], 0);
        for (let i = 0; i < SIZE; i++) {
          linear[i] += row[i] * residual / (EXAMPLES * variance);
          for (let j = 0; j < SIZE; j++) hessian[i][j] += row[i] * row[j] / (EXAMPLES * variance);
        }
      });
      return { hessian, linear };
    },
  };
}

for (const sampler of SAMPLERS) {
  for (const priorStep of STEPS) {
    gpuTest(`${sampler} with ${priorStep} prior step samples conjugate linear regression`, async (gpu) => {
      const { gaussian, covariance } = priorOf(0.5, 0.05);
      const { features, responses, variance, likelihood } = regression();
      const layout = layoutOf(gpu, SIZES), places = placesOf(layout);
      // Residuals X theta - y, then X^T residuals / (N s^2): as a network would, not by the Hessian of the reference.
      const forward = features.map((row) => {
        const padded = new Float64Array(layout.paddedCount);
        places.forEach((place, i) => padded[place] = row[i]);
        return padded;
      });
      const backward = Array.from({ length: layout.paddedCount }, () => new Float64Array(EXAMPLES));
      places.forEach((place, i) => features.forEach((row, n) => backward[place][n] = row[i] / (EXAMPLES * variance)));
      const gradient = affineGradient([
        { matrix: forward, constant: responses },
        { matrix: backward, constant: new Float64Array(layout.paddedCount) },
      ]);
      const target = { size: SIZE, prior: covariance, likelihood: likelihood(gaussian.mean) };
      const cases = casesOf(sampler, priorStep);
      const learningRate = 0.15;
      const options = {
        ...cases,
        target,
        prior: gaussian,
        gradient,
        learningRate,
        steps: 1800,
        directions: directionsOf(gaussian),
      };
      await report(`${sampler} ${priorStep} regression`, () => assertEquilibrium(gpu, options));
      // That law differs from the posterior by discretisation only.
      const exact = posterior(target, cases.settings);
      const fine = stationary(target, cases.settings, learningRate / 100, cases.preconditioner);
      const worst = Math.max(
        ...exact.covariance.map((row, i) => Math.abs(fine.covariance[i][i] / row[i] - 1)),
        ...exact.mean.map((value, i) => Math.abs(fine.mean[i] - value) / Math.sqrt(exact.covariance[i][i])),
      );
      assert(worst < 0.01, `at a hundredth of the learning rate the posterior is still missed by ${worst}`);
    });
  }
}

for (const sampler of SAMPLERS) {
  for (const priorStep of STEPS) {
    gpuTest(`assertEquilibrium() fails where the noise of ${sampler} (${priorStep}) is off by sqrt(2)`, async (gpu) => {
      const { gaussian, covariance } = priorOf(1);
      for (const factor of [Math.SQRT2, Math.SQRT1_2]) {
        const options: EquilibriumOptions = {
          ...casesOf(sampler, priorStep),
          target: { size: SIZE, prior: covariance, likelihood: quadratic() },
          prior: gaussian,
          learningRate: 0.35,
          steps: 500,
          directions: directionsOf(gaussian),
          mutate: (control) => ({ ...control, noise: control.noise! * factor }),
        };
        await assertRejects(() => assertEquilibrium(gpu, options), Error, "is not in its equilibrium");
      }
    });
  }
}

for (const sampler of SAMPLERS) {
  gpuTest(
    `assertEquilibrium() fails where the draw from the prior in ${sampler}'s implicit step is off by sqrt(2)`,
    async (gpu) => {
      const { gaussian, covariance } = priorOf(1);
      for (const factor of [Math.SQRT2, Math.SQRT1_2]) {
        const options: EquilibriumOptions = {
          ...casesOf(sampler, "implicit"),
          target: { size: SIZE, prior: covariance },
          prior: gaussian,
          learningRate: PRIOR_RATES.implicit[sampler],
          steps: 300,
          directions: directionsOf(gaussian),
          mutate: (control) => ({ ...control, priorNoise: control.priorNoise! * factor }),
        };
        await assertRejects(() => assertEquilibrium(gpu, options), Error, "is not in its equilibrium");
      }
    },
  );
}
