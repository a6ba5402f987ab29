/**
 * A linear classifier on features that stay as they are: how much of a class can be read off them.
 *
 * @module
 */

/** How the classifier is fitted. */
export interface ProbeOptions {
  readonly numClasses: number;
  /** Steps of gradient descent over all examples; default 200. */
  readonly steps?: number;
  /** L2 penalty of the weights; default 1e-3. */
  readonly penalty?: number;
}

/** The gradient [C * F + C] of the mean cross-entropy of all examples at weights [C * F + C]: weight, then bias. */
export type ProbeGradient = (weights: Float64Array) => Float64Array | Promise<Float64Array>;

/** Makes features have mean 0 and standard deviation 1, each over the rows that are given here. */
export class Standardisation {
  readonly #mean: Float64Array;
  readonly #scale: Float64Array;

  /** @param features [n, width] */
  constructor(features: Float32Array, width: number) {
    const count = features.length / width, mean = new Float64Array(width), square = new Float64Array(width);
    for (let start = 0; start < features.length; start += width) {
      for (let i = 0; i < width; i++) mean[i] += features[start + i] / count;
    }
    for (let start = 0; start < features.length; start += width) {
      for (let i = 0; i < width; i++) square[i] += (features[start + i] - mean[i]) ** 2 / count;
    }
    this.#mean = mean;
    this.#scale = square.map((variance) => variance > 0 ? 1 / Math.sqrt(variance) : 0);
  }

  /** The same features [n, width] on those scales; one that never varied becomes 0. */
  apply(features: Float32Array): Float32Array<ArrayBuffer> {
    const mean = this.#mean, scale = this.#scale, width = mean.length, out = new Float32Array(features.length);
    for (let start = 0; start < features.length; start += width) {
      for (let i = 0; i < width; i++) out[start + i] = (features[start + i] - mean[i]) * scale[i];
    }
    return out;
  }
}

/**
 * Fits multinomial logistic regression to standardised features, by Nesterov's accelerated descent at the step that the
 * curvature allows.
 *
 * @returns [C * F + C]: weight, then bias
 */
export async function fitProbe(
  gradientOf: ProbeGradient,
  width: number,
  { numClasses, steps = 200, penalty = 1e-3 }: ProbeOptions,
): Promise<Float64Array> {
  const biases = width * numClasses;
  let weights = new Float64Array(biases + numClasses), ahead: Float64Array = weights;
  // The curvature of softmax is at most 1/2, of the inputs at most their mean squared length, bias included.
  const rate = 1 / (0.5 * (width + 1) + penalty);
  for (let step = 0; step < steps; step++) {
    const gradient = await gradientOf(ahead);
    const next = ahead.map((weight, i) => weight - rate * (gradient[i] + (i < biases ? penalty * weight : 0)));
    const momentum = step / (step + 3);
    ahead = next.map((weight, i) => weight + momentum * (weight - weights[i]));
    weights = next;
  }
  return weights;
}

/**
 * The gradient, in float64, on this thread.
 *
 * @param features [n, F]
 * @param weights [C * F + C]: weight, then bias
 * @returns the gradient of the mean cross-entropy [C * F + C]
 */
export function logisticGradient(
  features: ArrayLike<number>,
  labels: ArrayLike<number>,
  weights: Float64Array,
  numClasses: number,
): Float64Array {
  const count = labels.length, width = features.length / count, bias = width * numClasses;
  const gradient = new Float64Array(weights.length), logits = new Float64Array(numClasses);
  for (let row = 0; row < count; row++) {
    for (let c = 0; c < numClasses; c++) {
      logits[c] = weights[bias + c];
      for (let i = 0; i < width; i++) logits[c] += features[row * width + i] * weights[c * width + i];
    }
    const top = Math.max(...logits), sum = logits.reduce((total, logit) => total + Math.exp(logit - top), 0);
    for (let c = 0; c < numClasses; c++) {
      const slope = (Math.exp(logits[c] - top) / sum - (c === labels[row] ? 1 : 0)) / count;
      for (let i = 0; i < width; i++) gradient[c * width + i] += slope * features[row * width + i];
      gradient[bias + c] += slope;
    }
  }
  return gradient;
}
