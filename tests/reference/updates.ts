/**
 * References of one step of every optimiser and sampler, on flat vectors. Each returns new arrays.
 *
 * `gradient` is that of the loss: mean cross-entropy minus log prior / N. `examples` is N, `temperature` T; the target is
 * exp(−N · loss / T). Noise ξ is given, standard normal.
 *
 * @module
 */

/** Settings of {@linkcode sgdStep}, as `torch.optim.SGD` (dampening 0). */
export interface SgdOptions {
  readonly learningRate: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
}

/** Settings of {@linkcode sgldStep}. */
export interface SgldOptions {
  readonly learningRate: number;
  readonly temperature: number;
  readonly examples: number;
}

/** Settings of {@linkcode sghmcStep}. */
export interface SghmcOptions extends SgldOptions {
  /** α: the share of velocity lost per step. */
  readonly friction: number;
}

/** Settings of {@linkcode psgldStep}. */
export interface PsgldOptions extends SgldOptions {
  /** β: how much of the running square of the gradient a step keeps. */
  readonly decay: number;
  /** Added to the root of the running square. */
  readonly damping: number;
}

/**
 * One step of stochastic gradient descent: g ← g + wd·θ; b ← m·b + g (b starts as g, which b = 0 gives as well);
 * θ ← θ − η·(g + m·b with Nesterov, b without).
 */
export function sgdStep(
  theta: Float64Array,
  buffer: Float64Array,
  gradient: Float64Array,
  { learningRate, momentum, nesterov, weightDecay }: SgdOptions,
): { theta: Float64Array; buffer: Float64Array } {
  const decayed = gradient.map((g, i) => g + weightDecay * theta[i]);
  const next = buffer.map((b, i) => momentum * b + decayed[i]);
  const direction = nesterov ? decayed.map((g, i) => g + momentum * next[i]) : next;
  return { theta: theta.map((value, i) => value - learningRate * direction[i]), buffer: next };
}

/** One step of SGLD (Welling & Teh, 2011): θ ← θ − η∇loss + √(2ηT/N)·ξ. */
export function sgldStep(
  theta: Float64Array,
  gradient: Float64Array,
  noise: Float64Array,
  { learningRate, temperature, examples }: SgldOptions,
): Float64Array {
  const spread = Math.sqrt(2 * learningRate * temperature / examples);
  return theta.map((value, i) => value - learningRate * gradient[i] + spread * noise[i]);
}

/** The stationary velocity that a SGHMC chain starts with: v₀ = √(ηT/N)·ξ. */
export function sghmcInitialVelocity(
  noise: Float64Array,
  { learningRate, temperature, examples }: SgldOptions,
): Float64Array {
  return noise.map((value) => Math.sqrt(learningRate * temperature / examples) * value);
}

/** One step of SGHMC (Chen et al., arXiv 1402.4102): v ← (1−α)v − η∇loss + √(2αηT/N)·ξ; θ ← θ + v. */
export function sghmcStep(
  theta: Float64Array,
  velocity: Float64Array,
  gradient: Float64Array,
  noise: Float64Array,
  { learningRate, temperature, examples, friction }: SghmcOptions,
): { theta: Float64Array; velocity: Float64Array } {
  const spread = Math.sqrt(2 * friction * learningRate * temperature / examples);
  const next = velocity.map((v, i) => (1 - friction) * v - learningRate * gradient[i] + spread * noise[i]);
  return { theta: theta.map((value, i) => value + next[i]), velocity: next };
}

/**
 * One step of pSGLD (Li et al., arXiv 1512.07666, without the Γ term, as its authors run it):
 * V ← βV + (1−β)∇loss²; G = 1 / (√V + damping); θ ← θ − ηG∇loss + √(2ηGT/N)·ξ. V starts at 0.
 */
export function psgldStep(
  theta: Float64Array,
  square: Float64Array,
  gradient: Float64Array,
  noise: Float64Array,
  { learningRate, temperature, examples, decay, damping }: PsgldOptions,
): { theta: Float64Array; square: Float64Array } {
  const next = square.map((v, i) => decay * v + (1 - decay) * gradient[i] ** 2);
  return {
    square: next,
    theta: theta.map((value, i) => {
      const preconditioner = 1 / (Math.sqrt(next[i]) + damping);
      const spread = Math.sqrt(2 * learningRate * preconditioner * temperature / examples);
      return value - learningRate * preconditioner * gradient[i] + spread * noise[i];
    }),
  };
}

/** Settings of {@linkcode adamwStep}. */
export interface AdamWOptions {
  /** Step, from 0. */
  readonly step: number;
  /** Learning rate. */
  readonly rate: number;
  readonly weightDecay: number;
}

/**
 * One step of AdamW (Loshchilov & Hutter, arXiv 1711.05101, with β = 0.9, 0.999 and ε = 1e-8): θ loses η·wd·θ, then moves by
 * η·m̂ / (√v̂ + ε). The state is m and v; none is zeros.
 */
export function adamwStep(
  theta: Float64Array,
  state: readonly Float64Array[],
  gradient: Float64Array,
  { step, rate, weightDecay }: AdamWOptions,
): { theta: Float64Array; state: Float64Array[] } {
  const [m, v] = state.length > 0 ? state : [theta.map(() => 0), theta.map(() => 0)];
  const mean = gradient.map((g, i) => 0.9 * m[i] + 0.1 * g);
  const square = gradient.map((g, i) => 0.999 * v[i] + 0.001 * g * g);
  const next = theta.map((value, i) => {
    const corrected = mean[i] / (1 - 0.9 ** (step + 1)), root = Math.sqrt(square[i] / (1 - 0.999 ** (step + 1)));
    return value * (1 - rate * weightDecay) - rate * corrected / (root + 1e-8);
  });
  return { theta: next, state: [mean, square] };
}

/** Settings of {@linkcode larsGradient}. */
export interface LarsOptions {
  /** PyTorch's shapes of the tensors, one behind the other. */
  readonly shapes: readonly (readonly number[])[];
  readonly rate: number;
  readonly weightDecay: number;
  readonly trust: number;
  readonly clip: boolean;
  readonly excludeVectors: boolean;
}

/** The gradient as LARS scales it (You et al., arXiv 1708.03888), tensor by tensor; with `clip` at most the rate itself. */
export function larsGradient(
  theta: Float64Array,
  gradient: Float64Array,
  { shapes, rate, weightDecay, trust, clip, excludeVectors }: LarsOptions,
): Float64Array {
  const scaled = gradient.slice();
  let end = 0;
  for (const shape of shapes) {
    const start = end;
    end += shape.reduce((a, b) => a * b, 1);
    const weight = Math.hypot(...theta.subarray(start, end)), slope = Math.hypot(...gradient.subarray(start, end));
    if (weight === 0 || slope === 0 || (excludeVectors && shape.length === 1)) continue;
    const ratio = trust * weight / (slope + weightDecay * weight + 1e-8);
    for (let i = start; i < end; i++) {
      scaled[i] = (clip ? Math.min(1, ratio / rate) : ratio) * (gradient[i] + weightDecay * theta[i]);
    }
  }
  return scaled;
}
