import { assertAlmostEquals } from "@std/assert";
import { prepareLaunch } from "../../lib/gpu/launch.ts";
import type { SamplerSettings } from "../../lib/inference/samplers.ts";
import { isotropic } from "../../lib/priors/gaussian.ts";
import { PhiloxSequence } from "../../lib/random/philox.ts";
import { gpuTests } from "../gpu/harness.ts";
import { type GradientMaker, Workbench } from "./workbench.ts";

const gpuTest = gpuTests();
const COPIES = 40_000, EXAMPLES = 10;

/** Gradient of the loss (x + exp(-x)) / N: a Gumbel density in each element, and no two elements alike in sign. */
const GUMBEL = `
@group(0) @binding(0) var<storage, read_write> theta: array<f32>;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < COUNT) { gradient[id.x] = (1.0 - exp(-theta[id.x])) / f32(EXAMPLES); }
}`;

const gumbelGradient: GradientMaker = async (gpu, theta, gradient) => {
  const kernel = {
    label: "gumbel",
    source: GUMBEL,
    constants: { COUNT: COPIES, EXAMPLES },
    groups: [Math.ceil(COPIES / 64), 1, 1] as const,
  };
  return { launches: [await prepareLaunch(gpu, kernel, [theta, gradient])], buffers: [] };
};

interface Moments {
  readonly mean: number;
  readonly variance: number;
  readonly skewness: number;
}

/** Moments of weighted points. */
function momentsOf(points: ArrayLike<number>, weight: (index: number) => number): Moments {
  const average = (of: (x: number) => number) => {
    let sum = 0, weights = 0;
    for (let i = 0; i < points.length; i++) {
      sum += weight(i) * of(points[i]);
      weights += weight(i);
    }
    return sum / weights;
  };
  const mean = average((x) => x), variance = average((x) => (x - mean) ** 2);
  return { mean, variance, skewness: average((x) => (x - mean) ** 3) / variance ** 1.5 };
}

/** Log density of the target, up to a constant; the prior is N(0, 4). */
function logTarget(x: number, prior: boolean): number {
  return -x - Math.exp(-x) - (prior ? x * x / 8 : 0);
}

/** Moments by quadrature. */
function exact(prior: boolean): Moments {
  const grid = Float64Array.from({ length: 20_001 }, (_, i) => -6 + i * 30 / 20_000);
  return momentsOf(grid, (i) => Math.exp(logTarget(grid[i], prior)));
}

const CASES: readonly [name: string, settings: Partial<SamplerSettings>, prior: boolean][] = [
  ["sgld", { sampler: "sgld" }, false],
  ["sgld, explicit prior step,", { sampler: "sgld" }, true],
  ["sgld, implicit prior step,", { sampler: "sgld", priorStep: "implicit" }, true],
  ["sghmc", { sampler: "sghmc", momentum: 0.7 }, false],
  ["sghmc, explicit prior step,", { sampler: "sghmc", momentum: 0.7 }, true],
  ["sghmc, implicit prior step,", { sampler: "sghmc", momentum: 0.7, priorStep: "implicit" }, true],
  ["psgld, explicit prior step,", { sampler: "psgld", momentum: 1 }, true],
  ["psgld, implicit prior step,", { sampler: "psgld", momentum: 1, priorStep: "implicit" }, true],
];

for (const [name, change, withPrior] of CASES) {
  gpuTest(`${name} samples a skewed target with the moments of quadrature`, async (gpu) => {
    const settings: SamplerSettings = {
      sampler: "sgld",
      momentum: 0,
      temperature: 1,
      numData: EXAMPLES,
      priorStep: "explicit",
      damping: 1,
      ...change,
    };
    const bench = await Workbench.create(gpu, {
      sizes: [COPIES],
      settings,
      learningRate: 0.01 * EXAMPLES,
      prior: withPrior ? isotropic(new Float32Array(COPIES), 4) : undefined,
      gradient: gumbelGradient,
    });
    try {
      const random = new PhiloxSequence(3, 98);
      // Draws of the Gumbel law, or thereabouts of the posterior, from which 4 units of time lead on.
      bench.start(Float32Array.from({ length: COPIES }, () => -Math.log(-Math.log(random.uniform() + 1e-9))), 0);
      for (let step = 0; step < (settings.sampler === "sghmc" ? 150 : 400); step++) bench.step();
      const found = momentsOf(await bench.theta.read(), () => 1), expected = exact(withPrior);
      // Five standard errors of 40,000 copies, and one per cent for the step.
      const bar = 5 / Math.sqrt(COPIES);
      assertAlmostEquals(found.mean, expected.mean, bar * Math.sqrt(expected.variance) + 0.01);
      assertAlmostEquals(found.variance / expected.variance, 1, bar * Math.sqrt(4.4) + 0.01);
      assertAlmostEquals(found.skewness, expected.skewness, bar * 6 + 0.01);
    } finally {
      bench.destroy();
    }
  });
}
