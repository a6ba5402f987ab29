/**
 * Runs a sampler in equilibrium and holds its draws to the law that its recursion has.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import type { ControlValues } from "../../lib/gpu/control.ts";
import { type Chains, essMean, mcseMean } from "../../lib/inference/diagnostics.ts";
import type { SamplerSettings } from "../../lib/inference/samplers.ts";
import type { Gaussian } from "../../lib/priors/gaussian.ts";
import { PhiloxSequence } from "../../lib/random/philox.ts";
import { cholesky, choleskySolve } from "../reference/cholesky.ts";
import { type Matrix, times, transpose } from "./matrices.ts";
import { type Equilibrium, type Law, stationary, type Target } from "./stationary.ts";
import { affineGradient, type GradientMaker, layoutOf, placesOf, Workbench } from "./workbench.ts";

/** Standard errors that a correct sampler may be off by: 6e-7 for one comparison, 3e-4 for the 500 of all tests. */
const MOST_ERRORS = 5;

/** What is sampled, and for how long. */
export interface EquilibriumOptions {
  readonly sizes: readonly number[];
  readonly target: Target;
  readonly settings: SamplerSettings;
  readonly learningRate: number;
  readonly prior?: Gaussian;
  /** Gradient of the likelihood, where it is not the target's quadratic. */
  readonly gradient?: GradientMaker;
  /** psgld's preconditioner, held fixed by a decay of 1. */
  readonly preconditioner?: Float64Array;
  readonly steps: number;
  readonly chains: number;
  /** Directions whose mean and variance are compared, and whose pairs' correlations are. */
  readonly directions: readonly Float64Array[];
  readonly minimumEss?: number;
  readonly mutate?: (values: ControlValues) => ControlValues;
}

/** What was seen. */
export interface Seen {
  /** Largest deviation from the law, in standard errors. */
  readonly worst: number;
  /** Least effective sample size of the squares of the directions. */
  readonly leastEss: number;
  /** Mean of (x - m)^T X^-1 (x - m) / P, which is 1, and its standard error. */
  readonly energy: number;
  readonly energyError: number;
}

/** The gradient H d - b = H theta - (b + H mean), on the padded vector. */
function quadraticGradient(gpu: Gpu, { sizes, target, prior }: EquilibriumOptions): GradientMaker {
  const { hessian, linear } = target.likelihood!;
  const layout = layoutOf(gpu, sizes), places = placesOf(layout);
  const matrix = Array.from({ length: layout.paddedCount }, () => new Float64Array(layout.paddedCount));
  const constant = new Float64Array(layout.paddedCount);
  places.forEach((row, i) => {
    places.forEach((column, j) => matrix[row][column] = hessian[i][j]);
    constant[row] = linear[i] + hessian[i].reduce((sum, value, j) => sum + value * (prior?.mean[j] ?? 0), 0);
  });
  return affineGradient([{ matrix, constant }]);
}

function flat(matrix: Matrix): Float64Array {
  return Float64Array.from(matrix.flatMap((row) => [...row]));
}

/** A draw from a normal law. */
function drawFrom({ mean, covariance }: Law, random: PhiloxSequence): Float64Array {
  const size = mean.length, lower = cholesky(ridged(covariance), size);
  const normal = Float64Array.from(mean, () => random.normal());
  return mean.map((value, i) => {
    let sum = value;
    for (let j = 0; j <= i; j++) sum += lower[i * size + j] * normal[j];
    return sum;
  });
}

/** Rounding in the Lyapunov solution may cost the last digits of the smallest eigenvalue. */
function ridged(covariance: Matrix): Float64Array {
  return flat(covariance.map((row, i) => row.map((value, j) => i === j ? value * (1 + 1e-9) : value)));
}

/** The draws theta - prior mean of each chain, started in equilibrium. */
async function sample(gpu: Gpu, options: EquilibriumOptions, law: Law): Promise<Float64Array[][]> {
  const { settings, preconditioner, prior, target } = options;
  const gradient = options.gradient ?? (target.likelihood ? quadraticGradient(gpu, options) : undefined);
  const bench = await Workbench.create(gpu, { ...options, gradient });
  const random = new PhiloxSequence(7, 99);
  const center = (i: number) => prior?.mean[i] ?? 0;
  const chains: Float64Array[][] = [];
  try {
    for (let chain = 0; chain < options.chains; chain++) {
      const x = drawFrom(law, random), size = target.size;
      // psgld: 1 / (sqrt(V) + damping) is the preconditioner.
      const state = settings.sampler === "sghmc"
        ? Float32Array.from(x.subarray(size))
        : preconditioner && Float32Array.from(preconditioner, (value) => (1 / value - (settings.damping ?? 1e-5)) ** 2);
      bench.start(Float32Array.from(x.subarray(0, size), (value, i) => value + center(i)), chain, state);
      const draws = await bench.record(options.steps, chain);
      chains.push(draws.map((theta) => Float64Array.from(theta, (value, i) => value - center(i))));
    }
  } finally {
    bench.destroy();
  }
  return chains;
}

/** c_jk(lag) = E[u_j(t + lag) u_k(t)] of scores u of unit variance, for lags 0 to `lags` - 1. */
function correlations({ transition, covariance }: Equilibrium, directions: Matrix, lags: number): Float64Array[][] {
  const size = covariance.length;
  const padded = directions.map((direction) => Float64Array.from({ length: size }, (_, i) => direction[i] ?? 0));
  const spread = padded.map((direction) => times(covariance, direction));
  const sd = padded.map((direction, j) => Math.sqrt(dot(direction, spread[j])));
  const backward = transpose(transition);
  return padded.map((direction, j) => {
    const series = padded.map(() => new Float64Array(lags));
    let moved: Float64Array = direction;
    for (let lag = 0; lag < lags; lag++) {
      padded.forEach((_, k) => series[k][lag] = dot(moved, spread[k]) / (sd[j] * sd[k]));
      moved = times(backward, moved);
    }
    return series;
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Standard error of the mean over chains of `draws` draws with these autocovariances. */
function standardError(autocovariance: (lag: number) => number, draws: number, chains: number): number {
  let sum = autocovariance(0);
  for (let lag = 1; lag < draws; lag++) sum += 2 * (1 - lag / draws) * autocovariance(lag);
  return Math.sqrt(Math.max(sum, 0) / (draws * chains));
}

/**
 * Standard errors between the mean of some draws and what it must be. The error is the larger of that which the law implies
 * and that which the draws show: a direction that hardly moved in a run shows too little.
 */
function standardErrors(chains: Chains, expected: number, implied: number): number {
  const draws = chains.flatMap((chain) => Array.from(chain));
  const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
  return Math.abs(mean - expected) / Math.max(implied, mcseMean(chains));
}

/** Runs the sampler and compares mean, variance, correlation and energy with its exact law. Throws where one is off. */
export async function assertEquilibrium(gpu: Gpu, options: EquilibriumOptions): Promise<Seen> {
  const { target, settings, learningRate, directions } = options;
  const law = stationary(target, settings, learningRate, options.preconditioner);
  const chains = await sample(gpu, options, law);
  const size = target.size, mean = law.mean.subarray(0, size);
  const covariance = law.covariance.slice(0, size).map((row) => row.subarray(0, size));
  const along = (a: Float64Array, b: Float64Array) =>
    a.reduce((sum, value, i) => sum + value * covariance[i].reduce((inner, c, j) => inner + c * b[j], 0), 0);
  const lags = correlations(law, directions, options.steps);
  const implied = (of: (lag: number) => number) => standardError(of, options.steps, options.chains);
  const errors: [what: string, standardErrors: number][] = [];
  let leastEss = Infinity;
  const scores = directions.map((direction) => {
    const sd = Math.sqrt(along(direction, direction));
    return chains.map((draws) =>
      draws.map((x) => x.reduce((sum, value, i) => sum + direction[i] * (value - mean[i]), 0) / sd)
    );
  });
  scores.forEach((score, j) => {
    const squares = score.map((chain) => chain.map((value) => value * value));
    leastEss = Math.min(leastEss, essMean(squares), essMean(score));
    errors.push(
      [`mean ${j}`, standardErrors(score, 0, implied((lag) => lags[j][j][lag]))],
      [`variance ${j}`, standardErrors(squares, 1, implied((lag) => 2 * lags[j][j][lag] ** 2))],
    );
    for (let k = 0; k < j; k++) {
      const products = score.map((chain, c) => chain.map((value, t) => value * scores[k][c][t]));
      // Isserlis: Cov(u_j u_k, u_j' u_k') = c_jj c_kk + c_jk c_kj.
      const both = (lag: number) => lags[j][j][lag] * lags[k][k][lag] + lags[j][k][lag] * lags[k][j][lag];
      errors.push([`correlation ${j} ${k}`, standardErrors(products, lags[j][k][0], implied(both))]);
    }
  });
  const lower = cholesky(flat(covariance), size);
  const energies = chains.map((draws) =>
    draws.map((x) => {
      const apart = x.map((value, i) => value - mean[i]), solved = choleskySolve(lower, apart);
      return apart.reduce((sum, value, i) => sum + value * solved[i], 0) / size;
    })
  );
  errors.push(["energy", standardErrors(energies, 1, 0)]);
  const all = energies.flat(), energy = all.reduce((sum, value) => sum + value, 0) / all.length;
  const failed = errors.filter(([, z]) => !(z < MOST_ERRORS));
  const name = `${settings.sampler} with ${settings.priorStep} prior step`;
  if (failed.length > 0) {
    throw new Error(
      `${name} is not in its equilibrium (energy ${energy.toFixed(4)}): ` +
        failed.map(([what, z]) => `${what} is off by ${z.toFixed(1)} standard errors`).join(", "),
    );
  }
  const { minimumEss = 80 } = options;
  if (leastEss < minimumEss) {
    throw new Error(`${name} has only ${leastEss.toFixed(0)} effective draws of ${minimumEss}`);
  }
  return { worst: Math.max(...errors.map(([, z]) => z)), leastEss, energy, energyError: mcseMean(energies) };
}
