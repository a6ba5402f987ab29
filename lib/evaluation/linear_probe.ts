/**
 * A linear classifier on features that stay as they are: how much of a class can be read off them.
 *
 * @module
 */

import type { LabelledFeatures } from "./nearest_neighbours.ts";

/** How the classifier is fitted. */
export interface ProbeOptions {
  readonly numClasses: number;
  /** Steps of gradient descent over all examples; default 200. */
  readonly steps?: number;
  /** L2 penalty of the weights; default 1e-3. */
  readonly penalty?: number;
}

/** Mean and standard deviation of each feature. */
function scalesOf(features: Float32Array, width: number): { mean: Float64Array; scale: Float64Array } {
  const count = features.length / width;
  const mean = new Float64Array(width), square = new Float64Array(width);
  features.forEach((value, i) => mean[i % width] += value / count);
  features.forEach((value, i) => square[i % width] += (value - mean[i % width]) ** 2 / count);
  return { mean, scale: square.map((variance) => variance > 0 ? 1 / Math.sqrt(variance) : 0) };
}

/**
 * Fits multinomial logistic regression to standardised features, by Nesterov's accelerated descent at the step that the
 * curvature allows, and measures it on other ones.
 *
 * @returns share of `queries` that is classified right, 0 to 1
 * @throws RangeError where there are no examples
 */
export function probeAccuracy(
  train: LabelledFeatures,
  queries: LabelledFeatures,
  { numClasses, steps = 200, penalty = 1e-3 }: ProbeOptions,
): number {
  const count = train.labels.length;
  if (count === 0 || queries.labels.length === 0) {
    throw new RangeError(
      `Cannot fit a classifier to ${count} examples and measure it on ${queries.labels.length}: some are required`,
    );
  }
  const width = train.features.length / count;
  const { mean, scale } = scalesOf(train.features, width);
  const standardised = (features: Float32Array) =>
    features.map((value, i) => (value - mean[i % width]) * scale[i % width]);
  const inputs = standardised(train.features);
  const size = (width + 1) * numClasses;
  let weights = new Float64Array(size), ahead: Float64Array = weights;
  // The curvature of softmax is at most 1/2, of the inputs at most their mean squared length, bias included.
  const rate = 1 / (0.5 * (width + 1) + penalty);
  for (let step = 0; step < steps; step++) {
    const gradient = gradientOf(inputs, train.labels, ahead, { width, numClasses, penalty });
    const next = ahead.map((weight, i) => weight - rate * gradient[i]);
    const momentum = step / (step + 3);
    ahead = next.map((weight, i) => weight + momentum * (weight - weights[i]));
    weights = next;
  }
  const asked = standardised(queries.features), logits = new Float64Array(numClasses);
  let right = 0;
  queries.labels.forEach((label, row) => {
    logitsOf(asked, row, weights, width, logits);
    if (logits.indexOf(Math.max(...logits)) === label) right++;
  });
  return right / queries.labels.length;
}

/** Logits of a row; weights are [width + 1, classes], the bias last. */
function logitsOf(inputs: Float32Array, row: number, weights: Float64Array, width: number, out: Float64Array): void {
  const classes = out.length;
  for (let c = 0; c < classes; c++) out[c] = weights[width * classes + c];
  for (let i = 0; i < width; i++) {
    const value = inputs[row * width + i];
    for (let c = 0; c < classes; c++) out[c] += value * weights[i * classes + c];
  }
}

function gradientOf(
  inputs: Float32Array,
  labels: Uint32Array,
  weights: Float64Array,
  { width, numClasses, penalty }: { width: number; numClasses: number; penalty: number },
): Float64Array {
  const gradient = weights.map((weight, i) => i < width * numClasses ? penalty * weight : 0);
  const logits = new Float64Array(numClasses), share = 1 / labels.length;
  labels.forEach((label, row) => {
    logitsOf(inputs, row, weights, width, logits);
    const top = Math.max(...logits);
    let sum = 0;
    for (let c = 0; c < numClasses; c++) sum += logits[c] = Math.exp(logits[c] - top);
    for (let c = 0; c < numClasses; c++) logits[c] = share * (logits[c] / sum - (c === label ? 1 : 0));
    for (let i = 0; i < width; i++) {
      const value = inputs[row * width + i];
      for (let c = 0; c < numClasses; c++) gradient[i * numClasses + c] += value * logits[c];
    }
    for (let c = 0; c < numClasses; c++) gradient[width * numClasses + c] += logits[c];
  });
  return gradient;
}
