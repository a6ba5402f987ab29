/**
 * How good predicted class probabilities are, and how sure they are of themselves.
 *
 * @module
 */

import { CalibrationBins, DEFAULT_BINS, expectedCalibrationError, type ReliabilityBin } from "./calibration.ts";
import { argmax, type Probabilities, rowCount } from "./softmax.ts";

/** Quality of the predictions for one set of examples. */
export interface Metrics {
  /** Number of examples. */
  readonly n: number;
  /** Fraction of examples whose most probable class is the label; of equal probabilities the first class counts. */
  readonly accuracy: number;
  /** Mean of −ln p(label), nats per example. */
  readonly nll: number;
  /** Expected calibration error on [0, 1], 15 equal-width bins unless told otherwise. */
  readonly ece: number;
  /** Mean over examples of Σ_c (p_c − [c = label])²; on [0, 2]. */
  readonly brier: number;
  /** Mean entropy of the predictions, nats. */
  readonly entropy: number;
  /** Mean mutual information between label and weights (BALD), nats; where there were several posterior samples. */
  readonly mutualInformation?: number;
}

/** Sums of floating-point probabilities stray from 1 by rounding, logits by much more. */
const SUM_TOLERANCE = 1e-3;

/**
 * What −ln p takes a probability of exactly 0 for: the smallest positive number of the array's type, the bound that
 * underflow proves. So one impossible label costs 103.3 nats from float32 and 744.4 nats from float64, not infinity.
 */
export function probabilityFloor(probabilities: Probabilities): number {
  return probabilities instanceof Float32Array ? 2 ** -149 : 2 ** -1074;
}

/** Entropy −Σ p ln p of `classes` probabilities from `offset`, nats; 0 ln 0 is 0. */
export function rowEntropy(probabilities: ArrayLike<number>, offset: number, classes: number): number {
  let sum = 0;
  for (let c = 0; c < classes; c++) {
    const p = probabilities[offset + c];
    if (p > 0) sum -= p * Math.log(p);
  }
  return sum;
}

/**
 * Predictive entropy of each example, nats, on [0, ln classes].
 *
 * @param probabilities [n, classes]
 * @returns [n]
 */
export function entropy(probabilities: Probabilities, classes: number): Float64Array {
  return Float64Array.from(
    { length: rowCount(probabilities, classes) },
    (_, row) => rowEntropy(probabilities, row * classes, classes),
  );
}

/**
 * Probability of each example's most probable class.
 *
 * @param probabilities [n, classes]
 * @returns [n]
 */
export function confidence(probabilities: Probabilities, classes: number): Float64Array {
  return Float64Array.from(
    { length: rowCount(probabilities, classes) },
    (_, row) => probabilities[row * classes + argmax(probabilities, row * classes, classes)],
  );
}

/**
 * Mutual information between an example's label and the weights, H[mean_s p_s] − mean_s H[p_s] (BALD: Houlsby et al.,
 * arXiv 1112.5745): what the samples disagree about. Rounding below 0 is returned as 0.
 *
 * @param samples one [n, classes] array for each posterior sample
 * @returns [n], nats
 */
export function mutualInformation(samples: readonly Probabilities[], classes: number): Float64Array {
  if (samples.length === 0) throw new RangeError("Cannot compare posterior samples: none was given, 1 is required");
  const n = rowCount(samples[0], classes);
  const out = new Float64Array(n);
  const mean = new Float64Array(classes);
  for (const sample of samples) {
    if (sample.length !== samples[0].length) {
      throw new TypeError(`Cannot compare samples of ${samples[0].length} and ${sample.length} probabilities`);
    }
  }
  for (let row = 0; row < n; row++) {
    mean.fill(0);
    let meanEntropy = 0;
    for (const sample of samples) {
      for (let c = 0; c < classes; c++) mean[c] += sample[row * classes + c] / samples.length;
      meanEntropy += rowEntropy(sample, row * classes, classes) / samples.length;
    }
    out[row] = Math.max(rowEntropy(mean, 0, classes) - meanEntropy, 0);
  }
  return out;
}

/**
 * Metrics of a set that arrives in batches. However the set is cut, the result has the same bits as that of
 * {@linkcode computeMetrics} on all of it.
 */
export class MetricsAccumulator {
  /** Number of classes. */
  readonly classes: number;
  readonly #bins: CalibrationBins;
  #n = 0;
  #correct = 0;
  #nll = 0;
  #brier = 0;
  #entropy = 0;
  #mutualInformation = 0;
  #withMutualInformation = 0;

  /**
   * An empty set.
   *
   * @param classes number of classes, at least 2
   * @param bins number of bins of the calibration error
   */
  constructor(classes: number, bins: number = DEFAULT_BINS) {
    rowCount([], classes);
    this.classes = classes;
    this.#bins = new CalibrationBins(bins);
  }

  /** Number of examples so far. */
  get n(): number {
    return this.#n;
  }

  /**
   * Adds a batch, or, where it throws, nothing.
   *
   * @param probabilities [n, classes]
   * @param labels [n], each on 0..classes−1
   * @param mutualInformation [n], nats: for every batch or for none
   * @throws TypeError where the lengths disagree
   * @throws RangeError naming the row (counted over all batches) whose label or probabilities are impossible, NaN
   * included
   */
  add(probabilities: Probabilities, labels: ArrayLike<number>, mutualInformation?: ArrayLike<number>): void {
    this.#check(probabilities, labels, mutualInformation);
    const { classes } = this;
    const floor = probabilityFloor(probabilities);
    for (let row = 0; row < labels.length; row++) {
      const offset = row * classes, label = labels[row];
      const best = argmax(probabilities, offset, classes);
      let brier = 0;
      for (let c = 0; c < classes; c++) brier += (probabilities[offset + c] - (c === label ? 1 : 0)) ** 2;
      this.#n++;
      if (best === label) this.#correct++;
      this.#nll -= Math.log(Math.max(probabilities[offset + label], floor));
      this.#brier += brier;
      this.#entropy += rowEntropy(probabilities, offset, classes);
      this.#bins.add(probabilities[offset + best], best === label);
      if (mutualInformation !== undefined) {
        this.#withMutualInformation++;
        this.#mutualInformation += mutualInformation[row];
      }
    }
  }

  /** The metrics of all examples so far; throws a `RangeError` where there are none. */
  metrics(): Metrics {
    const n = this.#n;
    if (n === 0) throw new RangeError("Cannot compute metrics: the set is empty; at least 1 example is required");
    return {
      n,
      accuracy: this.#correct / n,
      nll: this.#nll / n,
      ece: expectedCalibrationError(this.reliability()),
      brier: this.#brier / n,
      entropy: this.#entropy / n,
      ...(this.#withMutualInformation > 0 ? { mutualInformation: this.#mutualInformation / n } : {}),
    };
  }

  /** The bins of the reliability diagram of all examples so far. */
  reliability(): ReliabilityBin[] {
    return this.#bins.bins();
  }

  #check(probabilities: Probabilities, labels: ArrayLike<number>, information?: ArrayLike<number>): void {
    const n = rowCount(probabilities, this.classes);
    if (labels.length !== n || (information !== undefined && information.length !== n)) {
      const given = information === undefined ? "" : ` and ${information.length} values of mutual information`;
      throw new TypeError(`Cannot compare ${n} predictions with ${labels.length} labels${given}: one each is required`);
    }
    if (n > 0 && this.#n > 0 && (information === undefined) !== (this.#withMutualInformation === 0)) {
      throw new TypeError("Cannot average mutual information that only some batches have: every batch or none must");
    }
    for (let row = 0; row < n; row++) {
      this.#checkRow(probabilities, row, labels[row]);
      if (information !== undefined && !Number.isFinite(information[row])) {
        throw new RangeError(`Cannot evaluate row ${this.#n + row}: its mutual information is ${information[row]}`);
      }
    }
  }

  #checkRow(probabilities: Probabilities, row: number, label: number): void {
    const { classes } = this;
    const at = `Cannot evaluate row ${this.#n + row}`;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new RangeError(`${at}: its label is ${label}; a whole number from 0 to ${classes - 1} is required`);
    }
    let sum = 0;
    for (let c = 0; c < classes; c++) {
      const p = probabilities[row * classes + c];
      if (!(p >= 0 && p <= 1 + SUM_TOLERANCE)) {
        throw new RangeError(`${at}: the probability of class ${c} is ${p}; a number from 0 to 1 is required`);
      }
      sum += p;
    }
    if (Math.abs(sum - 1) > SUM_TOLERANCE) {
      throw new RangeError(`${at}: its probabilities sum to ${sum}; 1 is required (logits need softmax() first)`);
    }
  }
}

/**
 * Metrics of a whole set; the number of classes follows from the lengths.
 *
 * @param probabilities [n, classes]
 * @param labels [n], each on 0..classes−1
 * @param mutualInformation [n], nats, as {@linkcode mutualInformation} gives it
 * @throws TypeError where the lengths disagree
 * @throws RangeError where the set is empty, or naming the row that holds something impossible, NaN included
 */
export function computeMetrics(
  probabilities: Probabilities,
  labels: ArrayLike<number>,
  mutualInformation?: ArrayLike<number>,
): Metrics {
  return accumulate(probabilities, labels, DEFAULT_BINS, mutualInformation).metrics();
}

/**
 * The bins of a reliability diagram.
 *
 * @param probabilities [n, classes]
 * @param labels [n], each on 0..classes−1
 * @throws as {@linkcode computeMetrics}
 */
export function reliability(
  probabilities: Probabilities,
  labels: ArrayLike<number>,
  bins: number = DEFAULT_BINS,
): ReliabilityBin[] {
  return accumulate(probabilities, labels, bins).reliability();
}

function accumulate(
  probabilities: Probabilities,
  labels: ArrayLike<number>,
  bins: number,
  mutualInformation?: ArrayLike<number>,
): MetricsAccumulator {
  if (labels.length === 0) {
    throw new RangeError("Cannot compute metrics: the set is empty; at least 1 example is required");
  }
  if (probabilities.length % labels.length !== 0) {
    throw new TypeError(
      `Cannot share ${probabilities.length} probabilities among ${labels.length} labels: ` +
        "a whole number each is required",
    );
  }
  const accumulator = new MetricsAccumulator(probabilities.length / labels.length, bins);
  accumulator.add(probabilities, labels, mutualInformation);
  return accumulator;
}
