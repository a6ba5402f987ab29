/**
 * Whether chains have mixed, and how many independent draws they are worth (Vehtari, Gelman, Simpson, Carpenter and
 * Bürkner, "Rank-normalization, folding, and localization", arXiv 1903.08008; the definitions of Stan and ArviZ).
 *
 * Every function takes the draws of one scalar quantity: one array for each chain, all of the same length, at least 4.
 * Chains are split in halves first (of an odd number the middle draw is left out), so that one chain that drifts is
 * found out by its own halves. Autocovariances are summed directly, lag by lag, until Geyer's sequence ends: about
 * draws × autocorrelation time operations.
 *
 * @module
 */

/** Draws of one scalar: one array for each chain, in the order in which they were drawn. */
export type Chains = readonly ArrayLike<number>[];

/** What {@linkcode diagnose} finds. */
export interface Diagnosis {
  /** Mean of all draws. */
  readonly mean: number;
  /** Variance of all draws, divided by their number minus 1. */
  readonly variance: number;
  /** Bulk effective sample size. */
  readonly ess: number;
  /** Rank-normalised split R-hat. */
  readonly rHat: number;
  /** Monte Carlo standard error of `mean`. */
  readonly mcseMean: number;
  /** Monte Carlo standard error of `variance`. */
  readonly mcseVariance: number;
}

/** All diagnostics of one scalar; each as the function of its name gives it. */
export function diagnose(chains: Chains): Diagnosis {
  const all = check(chains).flat();
  return {
    mean: mean(all),
    variance: variance(all),
    ess: essBulk(chains),
    rHat: rHat(chains),
    mcseMean: mcseMean(chains),
    mcseVariance: mcseVariance(chains),
  };
}

/**
 * Bulk effective sample size: of the rank-normalised draws, so defined where the quantity has no variance too.
 *
 * @returns 0 where all draws are equal; above the number of draws where they are antithetic, up to n·log₁₀ n
 */
export function essBulk(chains: Chains): number {
  return essOf(rankNormalised(split(check(chains))));
}

/**
 * Effective sample size for the mean: of the draws as they are. AR(1) chains of n draws have n(1−ρ)/(1+ρ).
 *
 * @returns 0 where all draws are equal; above the number of draws where they are antithetic, up to n·log₁₀ n
 */
export function essMean(chains: Chains): number {
  return essOf(split(check(chains)));
}

/**
 * Rank-normalised split R-hat: the larger of that of the draws (location) and of their distance from the median
 * (scale). Chains that have mixed are below 1.01.
 *
 * @returns NaN where all draws are equal; ∞ where every half is stuck, but not all at one value
 */
export function rHat(chains: Chains): number {
  const halves = split(check(chains));
  const centre = median(halves.flat());
  const location = potentialScaleReduction(rankNormalised(halves));
  const scale = potentialScaleReduction(
    rankNormalised(halves.map((half) => half.map((value) => Math.abs(value - centre)))),
  );
  return Number.isNaN(scale) ? location : Math.max(location, scale); // of two values, all are equally far
}

/** Monte Carlo standard error of the mean of all draws, sd/√ESS; NaN where all draws are equal. */
export function mcseMean(chains: Chains): number {
  const checked = check(chains);
  return Math.sqrt(variance(checked.flat()) / essOf(split(checked)));
}

/**
 * Monte Carlo standard error of the variance of all draws: √(Var[(x − mean)²]/ESS), the ESS being that of (x − mean)².
 *
 * @returns NaN where all draws are equal
 */
export function mcseVariance(chains: Chains): number {
  const checked = check(chains);
  const centre = mean(checked.flat());
  const squares = checked.map((chain) => chain.map((value) => (value - centre) ** 2));
  const all = squares.flat();
  const meanSquare = mean(all);
  const spread = mean(all.map((square) => (square - meanSquare) ** 2));
  return Math.sqrt(spread / essOf(split(squares)));
}

/** Copies of the chains, checked. */
function check(chains: Chains): number[][] {
  if (chains.length === 0) throw new RangeError("Cannot diagnose chains: none was given, at least 1 is required");
  const draws = chains[0].length;
  return chains.map((chain, c) => {
    if (chain.length !== draws) {
      throw new TypeError(`Cannot diagnose chains of ${draws} and ${chain.length} draws: equal lengths are required`);
    }
    if (draws < 4) throw new RangeError(`Cannot diagnose chains of ${draws} draws: at least 4 are required`);
    const copy = Array.from(chain);
    const bad = copy.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new RangeError(`Cannot diagnose chain ${c}: draw ${bad} is ${copy[bad]}; finite numbers are required`);
    }
    return copy;
  });
}

function split(chains: number[][]): number[][] {
  const half = Math.floor(chains[0].length / 2);
  return chains.flatMap((chain) => [chain.slice(0, half), chain.slice(-half)]);
}

/** Replaces each draw by Φ⁻¹((rank − 3/8)/(n + 1/4)) of its rank among all n; equal draws share their mean rank. */
function rankNormalised(chains: number[][]): number[][] {
  const all = chains.flat();
  const order = all.map((_, i) => i).sort((a, b) => all[a] - all[b]);
  const score = new Array<number>(all.length);
  for (let first = 0; first < order.length;) {
    let last = first;
    while (last + 1 < order.length && all[order[last + 1]] === all[order[first]]) last++;
    const rank = (first + last) / 2 + 1;
    const quantile = normalQuantile((rank - 0.375) / (all.length + 0.25));
    for (let i = first; i <= last; i++) score[order[i]] = quantile;
    first = last + 1;
  }
  const draws = chains[0].length;
  return chains.map((_, c) => score.slice(c * draws, (c + 1) * draws));
}

/** √(((n−1)/n·W + B/n)/W) of chains of n draws; B between and W within them. */
function potentialScaleReduction(chains: number[][]): number {
  if (allEqual(chains)) return NaN;
  const draws = chains[0].length;
  const within = mean(chains.map(variance));
  const between = variance(chains.map(mean));
  return Math.sqrt((draws - 1) / draws + between / within);
}

/**
 * Chains × draws over the integrated autocorrelation time τ = −1 + 2Σ_k Γ_k, Γ_k = ρ_2k + ρ_2k+1 cut where it turns
 * negative (Geyer's initial positive sequence) and kept from rising (his monotone one). Where the cut falls, ρ_2k still
 * counts once if it is positive. τ ≥ 1/log₁₀(n) bounds what antithetic chains can claim.
 */
function essOf(chains: number[][]): number {
  if (allEqual(chains)) return 0;
  const draws = chains[0].length, total = chains.length * draws;
  const centred = chains.map((chain) => {
    const centre = mean(chain);
    return Float64Array.from(chain, (value) => value - centre);
  });
  const within = mean(chains.map(variance));
  const whole = within * (draws - 1) / draws + variance(chains.map(mean));
  const correlation = (lag: number) => 1 - (within - mean(centred.map((chain) => autocovariance(chain, lag)))) / whole;

  let sum = 0, previous = Infinity, tail = 0;
  for (let lag = 0; lag + 1 < draws; lag += 2) {
    const even = lag === 0 ? 1 : correlation(lag);
    const pair = even + correlation(lag + 1);
    if (pair < 0) {
      tail = lag === 0 ? 0 : Math.max(even, 0);
      break;
    }
    previous = Math.min(previous, pair);
    sum += previous;
  }
  return total / Math.max(-1 + 2 * sum + tail, 1 / Math.log10(total));
}

/** Σ_t x_t·x_{t+lag}/n of a centred chain: the biased estimate, which damps the noise of long lags. */
function autocovariance(centred: Float64Array, lag: number): number {
  let sum = 0;
  for (let t = lag; t < centred.length; t++) sum += centred[t] * centred[t - lag];
  return sum / centred.length;
}

function allEqual(chains: number[][]): boolean {
  return chains.every((chain) => chain.every((value) => value === chains[0][0]));
}

/** Taken from the first value, so that the mean of equal values is that value and their variance exactly 0. */
function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] - values[0];
  return values[0] + sum / values.length;
}

/** Divided by n − 1. */
function variance(values: ArrayLike<number>): number {
  const centre = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] - centre) ** 2;
  return sum / (values.length - 1);
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// Rational approximations of Φ⁻¹ (Wichura, algorithm AS 241, PPND16, 1988), highest power first. The one for tails
// beyond e⁻²⁵ is left out: a rank would need 10¹⁰ draws to get there.
const CENTRE_NUMERATOR = [
  2.5090809287301226727e3,
  3.3430575583588128105e4,
  6.7265770927008700853e4,
  4.5921953931549871457e4,
  1.3731693765509461125e4,
  1.9715909503065514427e3,
  1.3314166789178437745e2,
  3.3871328727963666080e0,
];
const CENTRE_DENOMINATOR = [
  5.2264952788528545610e3,
  2.8729085735721942674e4,
  3.9307895800092710610e4,
  2.1213794301586595867e4,
  5.3941960214247511077e3,
  6.8718700749205790830e2,
  4.2313330701600911252e1,
  1,
];
const TAIL_NUMERATOR = [
  7.74545014278341407640e-4,
  2.27238449892691845833e-2,
  2.41780725177450611770e-1,
  1.27045825245236838258e0,
  3.64784832476320460504e0,
  5.76949722146069140550e0,
  4.63033784615654529590e0,
  1.42343711074968357734e0,
];
const TAIL_DENOMINATOR = [
  1.05075007164441684324e-9,
  5.47593808499534494600e-4,
  1.51986665636164571966e-2,
  1.48103976427480074590e-1,
  6.89767334985100004550e-1,
  1.67638483018380384940e0,
  2.05319162663775882187e0,
  1,
];

/** Φ⁻¹(p) for e⁻²⁵ < p < 1 − e⁻²⁵, to about 16 digits. */
function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return q * polynomial(CENTRE_NUMERATOR, r) / polynomial(CENTRE_DENOMINATOR, r);
  }
  const r = Math.sqrt(-Math.log(Math.min(p, 1 - p))) - 1.6;
  return Math.sign(q) * polynomial(TAIL_NUMERATOR, r) / polynomial(TAIL_DENOMINATOR, r);
}

function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}
