/**
 * The samplers: what each adds to the flat update, and its settings for one step. The target of every sampler at
 * temperature T is exp(-N loss / T), with loss = mean cross-entropy - log prior / N.
 *
 * @module
 */

import psgldSource from "../../kernels/sampler_psgld.wgsl" with { type: "text" };
import sgdSource from "../../kernels/sampler_sgd.wgsl" with { type: "text" };
import sghmcSource from "../../kernels/sampler_sghmc.wgsl" with { type: "text" };
import sgldSource from "../../kernels/sampler_sgld.wgsl" with { type: "text" };
import type { ControlValues } from "../gpu/control.ts";

/** The samplers of the command line. */
export type SamplerName = "sgd" | "sgld" | "sghmc" | "psgld";

/** How the quadratic prior's part of a step is taken. */
export type PriorStep = "explicit" | "implicit";

/** Settings of a sampler that hold for a whole run. */
export interface SamplerSettings {
  /** Which update is made. */
  readonly sampler: SamplerName;
  /** Momentum of sgd; 1 - friction of sghmc; decay of psgld's running square. Unused by sgld. */
  readonly momentum: number;
  /** T; 0 turns noise off. Unused by sgd. */
  readonly temperature: number;
  /** N: size of the training set. */
  readonly numData: number;
  /** `implicit` is stable under any prior; under a narrow one `explicit` needs a small learning rate. */
  readonly priorStep: PriorStep;
  /** sgd only; default false. */
  readonly nesterov?: boolean;
  /** Added to the gradient as weightDecay * theta, of vectors without a prior and of heads without a learned one. */
  readonly weightDecay?: number;
  /** Added to the root of psgld's running square; default 1e-5. */
  readonly damping?: number;
  /** Reproduce the original's doubled SGLD noise variance (defect D6). */
  readonly compat?: boolean;
}

/** What a sampler is on the device. */
export interface SamplerKernel {
  /** WGSL joined into `prior_step.wgsl`. */
  readonly source: string;
  /** Draws noise. */
  readonly noise: boolean;
  /** Keeps a vector between steps. */
  readonly stateful: boolean;
}

/** Samplers by name. */
export const SAMPLERS: Readonly<Record<SamplerName, SamplerKernel>> = {
  sgd: { source: sgdSource, noise: false, stateful: true },
  sgld: { source: sgldSource, noise: true, stateful: false },
  sghmc: { source: sghmcSource, noise: true, stateful: true },
  psgld: { source: psgldSource, noise: true, stateful: true },
};

/**
 * Refuses settings that mean nothing.
 *
 * @throws RangeError naming the first of them
 */
export function requireSettings({ sampler, momentum, temperature, numData }: SamplerSettings): void {
  const refuse = (what: string, found: unknown, required: string) => {
    throw new RangeError(`Cannot sample: ${what} is ${found}, but ${required} is required`);
  };
  if (!Object.hasOwn(SAMPLERS, sampler)) refuse("the sampler", sampler, `one of ${Object.keys(SAMPLERS).join(", ")}`);
  if (!(momentum >= 0 && momentum < 1)) refuse("momentum", momentum, "a number from 0 to below 1");
  if (!(temperature >= 0 && temperature < Infinity)) refuse("temperature", temperature, "a number from 0 on");
  if (!(numData > 0 && numData < Infinity)) refuse("numData", numData, "a number above 0");
}

/** Standard deviation of one step's noise. */
function noiseOf(
  { sampler, temperature, numData, momentum, priorStep, compat }: SamplerSettings,
  learningRate: number,
): number {
  const unit = learningRate * temperature / numData;
  if (sampler === "sgd") return 0;
  if (sampler !== "sghmc") return Math.sqrt((compat ? 4 : 2) * unit);
  // The implicit step solves friction and noise exactly (Ornstein-Uhlenbeck); the explicit one is Chen et al.'s.
  return Math.sqrt((priorStep === "implicit" ? 1 - momentum * momentum : 2 * (1 - momentum)) * unit);
}

/** k in (I + k S^-1)^-1 for a step of size h = learning rate / N: see the `sampler_*.wgsl`. */
function priorStepOf({ sampler, momentum }: SamplerSettings, h: number, noisy: boolean): number {
  if (sampler === "sgd") return h / (1 - momentum);
  if (sampler === "sghmc") return noisy ? h / 2 : h / (1 - momentum);
  return h;
}

/**
 * Step along the likelihood's gradient. The implicit SGHMC step is symmetric: half a kick before the friction, which
 * damps it by m, and half behind it, (1 + m) / 2 in all. A whole kick would count the likelihood 2 / (1 + m) times.
 */
function kickOf({ sampler, priorStep, momentum }: SamplerSettings, learningRate: number, noisy: boolean): number {
  return sampler === "sghmc" && priorStep === "implicit" && noisy ? learningRate * (1 + momentum) / 2 : learningRate;
}

/** The control values of one step. */
export function controlOf(
  settings: SamplerSettings,
  at: {
    readonly seed: number;
    readonly chain: number;
    readonly step: number;
    readonly learningRate: number;
    readonly noisy: boolean;
  },
): ControlValues {
  // The original's SGLD drifts by half its learning rate (arXiv 2205.10279's code; defect D6).
  const learningRate = settings.compat && settings.sampler === "sgld" ? at.learningRate / 2 : at.learningRate;
  const noise = at.noisy ? noiseOf(settings, learningRate) : 0;
  return {
    seed: at.seed,
    step: at.step,
    chain: at.chain,
    learningRate: kickOf(settings, learningRate, noise > 0),
    noise,
    momentum: settings.momentum,
    weightDecay: settings.weightDecay ?? 0,
    inverseCount: 1 / settings.numData,
    priorStep: priorStepOf(settings, learningRate / settings.numData, noise > 0),
    priorNoise: noise > 0 ? Math.sqrt(settings.temperature) : 0,
    damping: settings.damping ?? 1e-5,
  };
}

/**
 * Largest learning rate at which an explicit step is stable for a Gaussian prior of largest precision `stiffness`:
 * eta * stiffness / N must stay below 2 (sgld; psgld at unit preconditioner), 2 (1 + m) (sgd, sghmc with
 * m = 1 - friction) or, with Nesterov, 2 (1 + m) / (1 + 2 m).
 */
export function stableLearningRate(settings: SamplerSettings, stiffness: number): number {
  const { sampler, momentum, numData, nesterov } = settings;
  const heavyBall = sampler === "sgd" || sampler === "sghmc";
  const limit = !heavyBall ? 2 : 2 * (1 + momentum) / (sampler === "sgd" && nesterov ? 1 + 2 * momentum : 1);
  return limit * numData / stiffness;
}

/** Refuses an explicit step that would diverge; the message names what would not. */
export function requireStable(settings: SamplerSettings, learningRate: number, stiffness: number, eps: number): void {
  if (settings.priorStep === "implicit") return;
  const largest = stableLearningRate(settings, stiffness);
  if (learningRate < largest) return;
  const leastVariance = learningRate / largest / stiffness;
  const sufficientEps = eps + leastVariance - 1 / stiffness;
  throw new RangeError(
    `Cannot run ${settings.sampler} with an explicit prior step: learning rate ${learningRate} diverges on a ` +
      `prior whose least variance is ${(1 / stiffness).toExponential(3)}; ` +
      "use --prior-step implicit, or a learning rate below " +
      `${largest.toExponential(3)}, or --prior-eps above ${sufficientEps.toExponential(3)}`,
  );
}
