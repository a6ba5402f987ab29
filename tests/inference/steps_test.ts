import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import {
  type PriorStep,
  requireStable,
  type SamplerName,
  type SamplerSettings,
  stableLearningRate,
} from "../../lib/inference/samplers.ts";
import { diagonalise, type Gaussian, stiffness } from "../../lib/priors/gaussian.ts";
import { philox4x32, Stream } from "../../lib/random/philox.ts";
import { readFixture, recorded } from "../fixtures/fixture.ts";
import { gpuTests } from "../gpu/harness.ts";
import { hashedUnit } from "../reference/hashed.ts";
import { cholesky, choleskySolve } from "../reference/cholesky.ts";
import { denseCovariance, gradientWoodbury } from "../reference/low_rank_normal.ts";
import { psgldStep, sghmcInitialVelocity, sghmcStep, sgldStep } from "../reference/updates.ts";
import {
  affineGradient,
  type GradientMaker,
  layoutOf,
  placesOf,
  Workbench,
  type WorkbenchOptions,
} from "./workbench.ts";

const gpuTest = gpuTests();
const SIZES = [37, 70, 5], SIZE = 112, EXAMPLES = 20;
/** Rounding of float32 in a handful of operations, and the device's log, sin and cos. */
const ROUNDING = 3e-6;

function values(stream: number, count = SIZE): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, i) => hashedUnit(stream, i));
}

/** Of more than 7 rows the sums of a launch leave it in several parts. */
const SAMPLERS = [["sgld", 2], ["sghmc", 2], ["psgld", 2], ["sghmc", 20]] as const;

function priorOf(rank = 2): Gaussian {
  const psi = values(1).map((x) => 0.3 + 0.2 * x);
  const more = Array.from({ length: rank - 2 }, (_, k) => values(20 + k).map((x) => 0.2 * x));
  return diagonalise(values(2), psi, [values(3), values(4).map((x) => 0.3 * x), ...more]);
}

/** The device's normals (kernels/philox.wgsl) at each element of PyTorch's order, in float64. */
function noiseAt(places: readonly number[], seed: number, step: number, chain: number, stream: number): Float64Array {
  return Float64Array.from(places, (place) => {
    const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
    const bits = philox4x32([place >> 2, step, chain, stream], key).map((word) => word >>> 8);
    const pair = place & 2;
    const radius = Math.sqrt(-2 * Math.log((bits[pair] + 1) * 2 ** -24)),
      angle = 2 * Math.PI * bits[pair + 1] * 2 ** -24;
    return radius * (place & 1 ? Math.sin(angle) : Math.cos(angle));
  });
}

/** A gradient that does not depend on theta. */
function constantGradient(gpu: Gpu, gradient: Float32Array): GradientMaker {
  const layout = layoutOf(gpu, SIZES), places = placesOf(layout);
  const zero = Array.from({ length: layout.paddedCount }, () => new Float64Array(layout.paddedCount));
  const constant = new Float64Array(layout.paddedCount);
  places.forEach((place, i) => constant[place] = -gradient[i]);
  return affineGradient([{ matrix: zero, constant }]);
}

function assertNear(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance = ROUNDING): void {
  assertEquals(found.length, expected.length);
  for (let i = 0; i < found.length; i++) {
    const allowed = tolerance * Math.max(1, Math.abs(expected[i]));
    if (!(Math.abs(found[i] - expected[i]) <= allowed)) {
      throw new Error(`element ${i} is ${found[i]}, not ${expected[i]}: off by more than ${allowed}`);
    }
  }
}

async function withBench(gpu: Gpu, options: WorkbenchOptions, use: (bench: Workbench) => Promise<void>): Promise<void> {
  const bench = await Workbench.create(gpu, options);
  try {
    await use(bench);
  } finally {
    bench.destroy();
  }
}

const BASE = { momentum: 0.8, temperature: 0.6, numData: EXAMPLES, priorStep: "explicit", damping: 0.05 } as const;
const RATE = 0.3, SEED = 2 ** 40 + 12345;

for (const [sampler, rank] of SAMPLERS) {
  gpuTest(`three explicit steps of ${sampler} at rank ${rank} equal their reference in float64`, async (gpu) => {
    const gradient = values(5), prior = priorOf(rank);
    const options = {
      sizes: SIZES,
      settings: { ...BASE, sampler },
      learningRate: RATE,
      seed: SEED,
      prior,
      gradient: constantGradient(gpu, gradient),
    };
    await withBench(gpu, options, async (bench) => {
      const chain = 3,
        reference = {
          learningRate: RATE,
          temperature: BASE.temperature,
          examples: EXAMPLES,
          friction: 1 - BASE.momentum,
          decay: BASE.momentum,
          damping: BASE.damping,
        };
      const places = placesOf(bench.layout);
      const wide = {
        mean: Float64Array.from(prior.mean),
        psi: Float64Array.from(prior.psi),
        factors: prior.rows.map((row) => Float64Array.from(row)),
      };
      let theta: Float64Array = Float64Array.from(values(6)),
        state: Float64Array = Float64Array.from(values(7), (x) => sampler === "psgld" ? x * x : x);
      bench.start(Float32Array.from(theta), chain, Float32Array.from(state));
      for (let step = chain * 1_000_000; step < chain * 1_000_000 + 3; step++) {
        bench.step(chain);
        const total = gradientWoodbury(theta, wide).map((force, i) => gradient[i] - force / EXAMPLES);
        const noise = noiseAt(places, SEED, step, chain, Stream.noise);
        if (sampler === "sgld") theta = sgldStep(theta, total, noise, reference);
        else if (sampler === "sghmc") {
          const next = sghmcStep(theta, state, total, noise, reference);
          [theta, state] = [next.theta, next.velocity];
        } else {
          const next = psgldStep(theta, state, total, noise, reference);
          [theta, state] = [next.theta, next.square];
        }
        assertNear(await bench.theta.read(), theta, 3 * ROUNDING);
        if (sampler !== "sgld") assertNear(await bench.update.state!.read(), state, 3 * ROUNDING);
      }
    });
  });
}

/** The weights that draw_weights.wgsl makes. */
function weightsAt(count: number, seed: number, step: number, chain: number): Float64Array {
  const places = Array.from({ length: count }, (_, k) => k);
  return noiseAt(places, seed, step, chain, Stream.anchorWeights);
}

for (const [sampler, rank] of SAMPLERS) {
  gpuTest(`three implicit steps of ${sampler} at rank ${rank} equal dense solutions in float64`, async (gpu) => {
    const gradient = values(5), prior = priorOf(rank), { temperature, damping, momentum: m } = BASE;
    const settings = { ...BASE, sampler, priorStep: "implicit" as const };
    const options = {
      sizes: SIZES,
      settings,
      learningRate: RATE,
      seed: SEED,
      prior,
      gradient: constantGradient(gpu, gradient),
    };
    const covariance = denseCovariance({
      mean: Float64Array.from(prior.mean),
      psi: Float64Array.from(prior.psi),
      factors: prior.rows.map((row) => Float64Array.from(row)),
    });
    await withBench(gpu, options, async (bench) => {
      const chain = 2, h = RATE / EXAMPLES, places = placesOf(bench.layout);
      let theta: Float64Array = Float64Array.from(values(6));
      let state: Float64Array = Float64Array.from(values(7), (x) => sampler === "psgld" ? x * x : x);
      bench.start(Float32Array.from(theta), chain, Float32Array.from(state));
      for (let step = chain * 1_000_000; step < chain * 1_000_000 + 3; step++) {
        bench.step(chain);
        const noise = noiseAt(places, SEED, step, chain, Stream.noise);
        const anchorNoise = noiseAt(places, SEED, step, chain, Stream.anchor);
        const weights = weightsAt(prior.rows.length, SEED, step, chain);
        const anchor = anchorNoise.map((value, i) =>
          Math.sqrt(temperature) *
          prior.rows.reduce((sum, row, k) => sum + weights[k] * row[i], Math.sqrt(prior.psi[i]) * value)
        );
        const delta = theta.map((value, i) => value - prior.mean[i]);
        let k = new Float64Array(SIZE).fill(sampler === "sghmc" ? h / 2 : h), moved: Float64Array;
        if (sampler === "sghmc") {
          const spread = Math.sqrt((1 - m * m) * h * temperature);
          state = state.map((v, i) => m * v - RATE * (1 + m) / 2 * gradient[i] + spread * noise[i]);
          moved = state;
        } else {
          if (sampler === "psgld") state = state.map((v, i) => m * v + (1 - m) * gradient[i] ** 2);
          const scale = state.map((v) => sampler === "psgld" ? 1 / (Math.sqrt(v) + damping) : 1);
          k = k.map((value, i) => value * scale[i]);
          moved = scale.map((g, i) => Math.sqrt(2 * h * temperature * g) * noise[i] - RATE * g * gradient[i]);
        }
        const u = delta.map((value, i) => value - anchor[i] + moved[i]);
        const shifted = covariance.map((value, at) => value + (at % (SIZE + 1) === 0 ? k[at / (SIZE + 1)] : 0));
        const solved = choleskySolve(cholesky(shifted, SIZE), u);
        const next = u.map((value, i) => anchor[i] + value - k[i] * solved[i]);
        if (sampler === "sghmc") state = state.map((v, i) => 2 * (next[i] - delta[i]) - v);
        theta = next.map((value, i) => value + prior.mean[i]);
        assertNear(await bench.theta.read(), theta, 4 * ROUNDING);
        if (sampler !== "sgld") assertNear(await bench.update.state!.read(), state, 4 * ROUNDING);
      }
    });
  });
}

gpuTest("initialiseState() draws the velocities that a SGHMC chain starts with", async (gpu) => {
  const settings = { ...BASE, sampler: "sghmc" as const };
  await withBench(gpu, { sizes: SIZES, settings, learningRate: RATE, seed: SEED }, async (bench) => {
    bench.start(values(6), 2);
    const noise = noiseAt(placesOf(bench.layout), SEED, 0, 2, Stream.velocity);
    const reference = { learningRate: RATE, temperature: BASE.temperature, examples: EXAMPLES };
    assertNear(await bench.update.state!.read(), sghmcInitialVelocity(noise, reference));
  });
});

for (const name of ["plain", "weight_decay", "momentum", "nesterov"]) {
  gpuTest(`sgd equals torch.optim.SGD: ${name}`, async (gpu) => {
    const fixture = readFixture(new URL(`../fixtures/operations/sgd_${name}.bin`, import.meta.url));
    const { learningRate, momentum, nesterov, weightDecay } = fixture.config;
    const settings = { ...BASE, sampler: "sgd" as const, momentum, nesterov, weightDecay };
    await withBench(gpu, { sizes: [17], settings, learningRate }, async (bench) => {
      bench.start(Float32Array.from(recorded(fixture, "theta").data), 0);
      const gradients = recorded(fixture, "gradients").data, trajectory = recorded(fixture, "trajectory").data;
      for (let step = 0; step < 4; step++) {
        const gradient = Float32Array.from(gradients.subarray(17 * step, 17 * (step + 1)));
        await withBench(
          gpu,
          { sizes: [17], settings, learningRate, gradient: constantOf(gpu, gradient) },
          async (next) => {
            next.start(await bench.theta.read(), 0, await bench.update.state!.read());
            next.step();
            assertNear(await next.theta.read(), trajectory.subarray(17 * step, 17 * (step + 1)), 1e-6);
            bench.theta.write(await next.theta.read());
            bench.update.state!.write(await next.update.state!.read());
          },
        );
      }
    });
  });
}

function constantOf(gpu: Gpu, gradient: Float32Array): GradientMaker {
  const layout = layoutOf(gpu, [gradient.length]);
  const zero = Array.from({ length: layout.paddedCount }, () => new Float64Array(1));
  const constant = new Float64Array(layout.paddedCount);
  gradient.forEach((value, i) => constant[i] = -value);
  return affineGradient([{ matrix: zero, constant }]);
}

/** Theta after ten steps on a likelihood whose gradient is theta - 1. */
async function walk(gpu: Gpu, settings: SamplerSettings): Promise<Float32Array> {
  const layout = layoutOf(gpu, SIZES),
    unit = Array.from({ length: layout.paddedCount }, (_, i) => {
      const row = new Float64Array(layout.paddedCount);
      row[i] = 1;
      return row;
    });
  const constant = new Float64Array(layout.paddedCount).fill(1);
  const gradient = affineGradient([{ matrix: unit, constant }]);
  let theta = new Float32Array();
  await withBench(gpu, { sizes: SIZES, settings, learningRate: 0.1, prior: priorOf(), gradient }, async (bench) => {
    bench.start(values(6), 0, new Float32Array(SIZE));
    for (let step = 0; step < 10; step++) bench.step();
    theta = await bench.theta.read();
  });
  return theta;
}

for (const priorStep of ["explicit", "implicit"] as const) {
  gpuTest(`at temperature 0 sgld is SGD and sghmc is SGD with momentum, ${priorStep} prior step`, async (gpu) => {
    const cold = { ...BASE, priorStep, temperature: 0 };
    assertNear(
      await walk(gpu, { ...cold, sampler: "sgld" }),
      await walk(gpu, { ...cold, sampler: "sgd", momentum: 0 }),
      5e-7,
    );
    assertNear(await walk(gpu, { ...cold, sampler: "sghmc" }), await walk(gpu, { ...cold, sampler: "sgd" }), 5e-7);
  });

  gpuTest(`sgd with ${priorStep} prior step ends at the posterior's mode`, async (gpu) => {
    const settings = { ...BASE, sampler: "sgd" as const, priorStep, nesterov: true };
    const layout = layoutOf(gpu, SIZES),
      unit = Array.from({ length: layout.paddedCount }, (_, i) => {
        const row = new Float64Array(layout.paddedCount);
        row[i] = 1;
        return row;
      });
    const constant = new Float64Array(layout.paddedCount).fill(1), prior = priorOf();
    const gradient = affineGradient([{ matrix: unit, constant }]);
    await withBench(gpu, { sizes: SIZES, settings, learningRate: 0.1, prior, gradient }, async (bench) => {
      bench.start(values(6), 0);
      for (let step = 0; step < 200; step++) bench.step();
      const theta = Float64Array.from(await bench.theta.read());
      const force = gradientWoodbury(theta, {
        mean: Float64Array.from(prior.mean),
        psi: Float64Array.from(prior.psi),
        factors: prior.rows.map((row) => Float64Array.from(row)),
      });
      theta.forEach((value, i) => assertAlmostEquals(value - 1, force[i] / EXAMPLES, 1e-5));
    });
  });
}

/** Noise of one step of a sampler that starts at zero without gradient or prior, as standard normals. */
async function noiseOf(gpu: Gpu, bench: Workbench, step: number, chain: number, scale: number): Promise<Float32Array> {
  bench.start(new Float32Array(bench.layout.count), 0, new Float32Array(bench.layout.count));
  bench.gradient.clear();
  bench.control.write({ seed: 5, step, chain, noise: scale, damping: 1 });
  submitLaunches(gpu, "noise", bench.update.launches(0));
  return (await bench.theta.read()).map((value) => value / scale);
}

for (const sampler of ["sgld", "sghmc", "psgld"] as const) {
  gpuTest(`the noise of ${sampler} is standard normal and independent between steps, chains and lags`, async (gpu) => {
    const count = 40_000, bars = 5 / Math.sqrt(count);
    const settings = { ...BASE, sampler };
    await withBench(gpu, { sizes: [count], settings, learningRate: 1 }, async (bench) => {
      const first = await noiseOf(gpu, bench, 10, 0, 0.5);
      const mean = (power: number) => first.reduce((sum, x) => sum + x ** power, 0) / count;
      assertAlmostEquals(mean(1), 0, bars);
      assertAlmostEquals(mean(2), 1, bars * Math.sqrt(2));
      assertAlmostEquals(mean(3), 0, bars * Math.sqrt(15));
      assertAlmostEquals(mean(4), 3, bars * Math.sqrt(96));
      const others = [await noiseOf(gpu, bench, 11, 0, 0.5), await noiseOf(gpu, bench, 10, 1, 0.5)];
      for (const lag of [1, 2, 3, 4, 256]) others.push(Float32Array.from(first, (_, i) => first[(i + lag) % count]));
      for (const other of others) {
        assertAlmostEquals(first.reduce((sum, x, i) => sum + x * other[i], 0) / count, 0, bars);
        assertAlmostEquals(
          first.reduce((sum, x, i) => sum + (x * x - 1) * (other[i] ** 2 - 1), 0) / count,
          0,
          2 * bars,
        );
      }
      assertEquals(await noiseOf(gpu, bench, 10, 0, 0.5), first);
    });
  });
}

const LIMITS: readonly [SamplerName, number, boolean][] = [
  ["sgd", 0, false],
  ["sgd", 0.9, false],
  ["sgd", 0.9, true],
  ["sgld", 0, false],
  ["sghmc", 0.8, false],
];

for (const [sampler, momentum, nesterov] of LIMITS) {
  gpuTest(
    `stableLearningRate() is the limit of ${sampler} with momentum ${momentum}${nesterov ? ", Nesterov" : ""}`,
    async (gpu) => {
      const psi = values(8).map((x) => 0.02 * (1.01 + x)), prior = diagonalise(values(2), psi, []);
      const settings = { ...BASE, sampler, momentum, nesterov, temperature: 0 };
      const limit = stableLearningRate(settings, stiffness(prior));
      const growth = async (learningRate: number) => {
        let far = 0;
        await withBench(gpu, { sizes: SIZES, settings, learningRate, prior }, async (bench) => {
          bench.start(values(2).map((x) => x + 1), 0);
          for (let step = 0; step < 1500; step++) bench.step();
          far = (await bench.theta.read()).reduce((most, x, i) => Math.max(most, Math.abs(x - prior.mean[i])), 0);
        });
        return far;
      };
      const below = await growth(0.98 * limit), above = await growth(1.02 * limit);
      assert(below < 1, `just below the limit theta is ${below} away`);
      assert(!(above < 100), `just above the limit theta is only ${above} away`);
    },
  );
}

Deno.test("requireStable() refuses with a learning rate and an eps that it accepts", () => {
  for (const sampler of ["sgd", "sgld", "sghmc", "psgld"] as const) {
    const settings = { ...BASE, sampler }, least = 1e-6, eps = 1e-7;
    const check = (rate: number, variance: number, priorStep: PriorStep = "explicit") =>
      requireStable({ ...settings, priorStep }, rate, 1 / variance, eps);
    const { message } = assertThrows(() => check(0.02, least), RangeError, "use --prior-step implicit");
    const rate = Number(/learning rate below (\S+),/.exec(message)![1]);
    const sufficient = Number(/--prior-eps above (\S+)$/.exec(message)![1]);
    check(rate * 0.999, least);
    assertThrows(() => check(rate * 1.001, least), RangeError);
    // The variance without eps is kept; eps alone is raised.
    check(0.02, (least - eps) + sufficient * 1.001);
    assertThrows(() => check(0.02, (least - eps) + sufficient * 0.999), RangeError);
    check(0.02, least, "implicit");
  }
});
