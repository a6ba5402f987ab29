/**
 * Bayesian model average: p(y|x) = mean over posterior samples of softmax(logits).
 *
 * @module
 */

import { rowEntropy } from "./metrics.ts";
import { argmax, checkLogits, type Logits, logSoftmaxRow, rowCount } from "./softmax.ts";

/** Below this mean mutual information, in nats, the members are one model for all that their average can tell. */
export const LEAST_MUTUAL_INFORMATION = 1e-6;

/**
 * The average of several members' predictions for the same examples. It holds running sums in float64, not the members,
 * so their number costs no memory.
 */
export class ModelAverage {
  /** Number of examples. */
  readonly n: number;
  /** Number of classes. */
  readonly classes: number;
  readonly #probabilitySum: Float64Array;
  readonly #entropySum: Float64Array;
  readonly #firstChoice: Int32Array;
  readonly #unanimous: Uint8Array;
  #members = 0;

  /**
   * An average without members.
   *
   * @param n number of examples, at least 1
   * @param classes number of classes, at least 2
   */
  constructor(n: number, classes: number) {
    rowCount([], classes);
    if (!Number.isInteger(n) || n < 1) {
      throw new RangeError(`Cannot average predictions for ${n} examples: at least 1 is required`);
    }
    this.n = n;
    this.classes = classes;
    this.#probabilitySum = new Float64Array(n * classes);
    this.#entropySum = new Float64Array(n);
    this.#firstChoice = new Int32Array(n);
    this.#unanimous = new Uint8Array(n).fill(1);
  }

  /** Number of members so far. */
  get members(): number {
    return this.#members;
  }

  /**
   * Adds one member's predictions, or, where it throws, nothing.
   *
   * @param logits [n, classes]
   * @throws TypeError where the length is another
   * @throws RangeError naming the row whose logits are not finite
   */
  add(logits: Logits): void {
    const { n, classes } = this;
    if (logits.length !== n * classes) {
      throw new TypeError(
        `Cannot average ${logits.length} logits: [${n}, ${classes}], that is ${n * classes}, are required`,
      );
    }
    checkLogits(logits, classes);
    const row = new Float64Array(classes);
    for (let i = 0; i < n; i++) {
      logSoftmaxRow(logits, i * classes, row);
      for (let c = 0; c < classes; c++) {
        row[c] = Math.exp(row[c]);
        this.#probabilitySum[i * classes + c] += row[c];
      }
      this.#entropySum[i] += rowEntropy(row, 0, classes);
      const choice = argmax(logits, i * classes, classes);
      if (this.#members === 0) this.#firstChoice[i] = choice;
      else if (choice !== this.#firstChoice[i]) this.#unanimous[i] = 0;
    }
    this.#members++;
  }

  /** Mean of the members' probabilities, [n, classes]. */
  probabilities(): Float64Array {
    const members = this.#count();
    return this.#probabilitySum.map((sum) => sum / members);
  }

  /** H[mean_s p_s] of each example, [n], nats: the whole uncertainty. */
  entropyOfMean(): Float64Array {
    const probabilities = this.probabilities();
    return Float64Array.from({ length: this.n }, (_, i) => rowEntropy(probabilities, i * this.classes, this.classes));
  }

  /** mean_s H[p_s] of each example, [n], nats: the uncertainty that every member has (aleatoric). */
  meanEntropy(): Float64Array {
    const members = this.#count();
    return this.#entropySum.map((sum) => sum / members);
  }

  /** The difference of the two, [n], nats: what the members disagree about (epistemic; BALD). */
  mutualInformation(): Float64Array {
    const meanEntropy = this.meanEntropy();
    return this.entropyOfMean().map((entropy, i) => Math.max(entropy - meanEntropy[i], 0));
  }

  /** Fraction of examples for which all members choose the same class. */
  agreement(): number {
    this.#count();
    return this.#unanimous.reduce((sum, one) => sum + one, 0) / this.n;
  }

  /**
   * A sentence for the user where the members are too much alike for their average to differ from one of them (mean
   * mutual information below {@linkcode LEAST_MUTUAL_INFORMATION}); `undefined` where they differ, or with one member.
   */
  warning(): string | undefined {
    if (this.#members < 2) return undefined;
    const mean = this.mutualInformation().reduce((sum, value) => sum + value, 0) / this.n;
    if (mean >= LEAST_MUTUAL_INFORMATION) return undefined;
    return `The ${this.#members} posterior samples predict nearly the same (mean mutual information ${
      mean.toExponential(1)
    } nats): their average adds nothing to one of them; ` +
      "check the temperature, the learning rate and whether the samples were collected far enough apart";
  }

  #count(): number {
    if (this.#members === 0) throw new RangeError("Cannot average predictions: no member was added, 1 is required");
    return this.#members;
  }
}
