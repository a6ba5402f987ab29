/**
 * The law that each sampler's recursion has exactly, in float64, for a Gaussian prior and a quadratic likelihood: not the
 * target's law, which it approaches as the learning rate falls, but the one that the kernels must reproduce at any.
 *
 * x' = A x + noise of covariance Q + constant, with x = d = theta - prior mean, or (d, v) for sghmc; so the covariance X
 * solves X = A X A^T + Q.
 *
 * @module
 */

import type { SamplerSettings } from "../../lib/inference/samplers.ts";
import {
  blocks,
  combine,
  diagonal,
  discreteLyapunov,
  identity,
  type Matrix,
  product,
  scaled,
  solve,
  times,
  transpose,
  zeros,
} from "./matrices.ts";

/** A loss d^T H d / 2 - b^T d and a prior N(0, S) over d; each may be absent. */
export interface Target {
  readonly size: number;
  readonly likelihood?: { readonly hessian: Matrix; readonly linear: Float64Array };
  /** S. */
  readonly prior?: Matrix;
}

/** A normal law. */
export interface Law {
  readonly mean: Float64Array;
  readonly covariance: Matrix;
}

/** The law of a recursion's equilibrium, and the recursion's matrix: how draws depend on earlier ones. */
export interface Equilibrium extends Law {
  /** A. */
  readonly transition: Matrix;
}

/** A recursion x' = A x + noise. */
interface Recursion {
  readonly a: Matrix;
  readonly q: Matrix;
}

function hessianOf({ size, likelihood }: Target): Matrix {
  return likelihood?.hessian ?? zeros(size);
}

/** Hessian of the whole loss, H + S^-1 / N. */
function precision(target: Target, examples: number): Matrix {
  const { prior, size } = target;
  return prior === undefined
    ? hessianOf(target)
    : combine(1, hessianOf(target), 1 / examples, solve(prior, identity(size)));
}

/** The exact posterior exp(-N loss / T). */
export function posterior(target: Target, { numData, temperature }: SamplerSettings): Law {
  const g = precision(target, numData);
  const mean = solve(
    g,
    Array.from({ length: target.size }, (_, i) => [target.likelihood?.linear[i] ?? 0]).map((row) =>
      Float64Array.from(row)
    ),
  );
  return {
    mean: Float64Array.from(mean, ([value]) => value),
    covariance: scaled(temperature / numData, solve(g, identity(target.size))),
  };
}

/** theta' = theta - lr D (gradient) + noise of covariance 2 lr T / N D, and its implicit form (sampler_sgld.wgsl). */
function langevin(target: Target, settings: SamplerSettings, lr: number, preconditioner: Matrix): Recursion {
  const { size, prior } = target, h = lr / settings.numData, { temperature } = settings;
  const noise = scaled(2 * h * temperature, preconditioner);
  if (settings.priorStep === "explicit" || prior === undefined) {
    const g = precision(target, settings.numData);
    return { a: combine(1, identity(size), -lr, product(preconditioner, g)), q: noise };
  }
  // R = (I + h D S^-1)^-1 = S (S + h D)^-1, and I - R = h D (S + h D)^-1.
  const inverse = solve(combine(1, prior, h, preconditioner), identity(size));
  const r = product(prior, inverse), rest = scaled(h, product(preconditioner, inverse));
  const drift = combine(1, identity(size), -lr, product(preconditioner, hessianOf(target)));
  const anchor = scaled(temperature, product(product(rest, prior), transpose(rest)));
  return { a: product(r, drift), q: combine(1, product(product(r, noise), transpose(r)), 1, anchor) };
}

/** (d, v) of Chen et al.'s step, or of the symmetric splitting of sampler_sghmc.wgsl. */
function hamiltonian(target: Target, settings: SamplerSettings, lr: number): Recursion {
  const { size, prior } = target, { numData, temperature, momentum: m } = settings;
  const one = identity(size), unit = lr * temperature / numData;
  const implicit = settings.priorStep === "implicit";
  const noise = (implicit ? 1 - m * m : 2 * (1 - m)) * unit, kick = implicit ? lr * (1 + m) / 2 : lr;
  if (!implicit || prior === undefined) {
    const force = scaled(-kick, precision(target, numData));
    const q = scaled(noise, one);
    return { a: blocks(combine(1, one, 1, force), scaled(m, one), force, scaled(m, one)), q: blocks(q, q, q, q) };
  }
  // C = (I + h/2 S^-1)^-1 = S (S + h/2)^-1, and I - C = h/2 (S + h/2)^-1; z is a draw from the prior.
  const half = lr / (2 * numData), inverse = solve(combine(1, prior, half, one), one);
  const keep = product(prior, inverse), rest = scaled(half, inverse), reflect = combine(2, keep, -1, one);
  const kicked = blocks(one, zeros(size), scaled(-kick, hessianOf(target)), scaled(m, one));
  const moved = blocks(keep, keep, scaled(-2, rest), reflect);
  const gain = [...keep, ...reflect], anchor = [...rest, ...scaled(2, rest)];
  const drawn = product(product(anchor, prior), transpose(anchor));
  return {
    a: product(moved, kicked),
    q: combine(noise, product(gain, transpose(gain)), temperature, drawn),
  };
}

/** The law of theta - prior mean (and v) in a sampler's equilibrium. `preconditioner` is psgld's, held fixed. */
export function stationary(
  target: Target,
  settings: SamplerSettings,
  lr: number,
  preconditioner?: Float64Array,
): Equilibrium {
  const { mean } = posterior(target, settings);
  const { a, q } = settings.sampler === "sghmc"
    ? hamiltonian(target, settings, lr)
    : langevin(target, settings, lr, preconditioner ? diagonal(preconditioner) : identity(target.size));
  const covariance = discreteLyapunov(a, q);
  if (settings.sampler !== "sghmc") return { mean, covariance, transition: a };
  // At rest v is not zero where a gradient is balanced by the prior within a step: v = lr g / 2 before the harmonic part.
  return { mean: Float64Array.of(...mean, ...velocityAtRest(target, settings, lr, mean)), covariance, transition: a };
}

/** Mean of v: kick and friction give m v - kick g, and the harmonic part of a fixed d turns v into -v. */
function velocityAtRest(target: Target, settings: SamplerSettings, lr: number, mean: Float64Array): Float64Array {
  const linear = target.likelihood?.linear;
  if (settings.priorStep === "explicit" || target.prior === undefined || linear === undefined) {
    return new Float64Array(target.size);
  }
  return times(hessianOf(target), mean).map((value, i) => lr / 2 * (value - linear[i]));
}
