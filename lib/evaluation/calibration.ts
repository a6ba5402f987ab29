/**
 * Calibration by equal-width bins of confidence (Guo et al., "On calibration of modern neural networks", 2017).
 *
 * @module
 */

/** The predictions whose confidence fell into (`lower`, `upper`]; the first bin also holds confidence 0. */
export interface ReliabilityBin {
  /** Lower edge of the bin, exclusive. */
  readonly lower: number;
  /** Upper edge of the bin, inclusive. */
  readonly upper: number;
  /** Number of predictions in the bin. */
  readonly count: number;
  /** Their mean confidence; NaN in an empty bin. */
  readonly confidence: number;
  /** The fraction of them that is right; NaN in an empty bin. */
  readonly accuracy: number;
}

/** Number of bins of {@linkcode CalibrationBins} unless told otherwise; torchmetrics' default too. */
export const DEFAULT_BINS = 15;

/**
 * The bin of a confidence among `bins` equal bins of [0, 1], each closed on the right: 0 is in the first, 1 in the
 * last, and an exact edge i/bins belongs to the bin below it.
 */
export function binOf(confidence: number, bins: number): number {
  let bin = Math.min(Math.max(Math.ceil(confidence * bins) - 1, 0), bins - 1);
  // The product above rounds; the edges i/bins decide.
  if (bin > 0 && confidence <= bin / bins) bin--;
  else if (bin < bins - 1 && confidence > (bin + 1) / bins) bin++;
  return bin;
}

/** Running sums of a reliability diagram. */
export class CalibrationBins {
  readonly #count: Float64Array;
  readonly #confidence: Float64Array;
  readonly #correct: Float64Array;

  /**
   * Empty bins.
   *
   * @param bins number of equal-width bins, at least 1
   */
  constructor(bins: number = DEFAULT_BINS) {
    if (!Number.isInteger(bins) || bins < 1) {
      throw new RangeError(`Cannot sort confidences into ${bins} bins: a whole number of at least 1 is required`);
    }
    this.#count = new Float64Array(bins);
    this.#confidence = new Float64Array(bins);
    this.#correct = new Float64Array(bins);
  }

  /** Counts one prediction. */
  add(confidence: number, correct: boolean): void {
    const bin = binOf(confidence, this.#count.length);
    this.#count[bin]++;
    this.#confidence[bin] += confidence;
    if (correct) this.#correct[bin]++;
  }

  /** The bins, from low confidence to high, empty ones included. */
  bins(): ReliabilityBin[] {
    const bins = this.#count.length;
    return Array.from(this.#count, (count, i) => ({
      lower: i / bins,
      upper: (i + 1) / bins,
      count,
      confidence: this.#confidence[i] / count,
      accuracy: this.#correct[i] / count,
    }));
  }
}

/**
 * Expected calibration error, l1: Σ (count/n)·|accuracy − confidence| over the bins that hold something.
 *
 * @returns on [0, 1]; NaN where all bins are empty
 */
export function expectedCalibrationError(bins: readonly ReliabilityBin[]): number {
  let n = 0, sum = 0;
  for (const { count, confidence, accuracy } of bins) {
    if (count === 0) continue;
    n += count;
    sum += count * Math.abs(accuracy - confidence);
  }
  return sum / n;
}
