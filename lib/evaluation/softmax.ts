/**
 * Softmax in float64, from logits as a network leaves them.
 *
 * @module
 */

/** Logits of a batch, row-major [n, classes]. */
export type Logits = Float32Array | Float64Array;

/** Class probabilities of a batch, row-major [n, classes]. */
export type Probabilities = Float32Array | Float64Array;

/**
 * Number of rows of a row-major [n, classes] array; throws a `TypeError` where the length is no multiple of `classes`.
 */
export function rowCount(values: ArrayLike<number>, classes: number): number {
  if (!Number.isInteger(classes) || classes < 2) {
    throw new RangeError(`Cannot read rows of ${classes} classes: at least 2 classes are required`);
  }
  if (values.length % classes !== 0) {
    throw new TypeError(
      `Cannot read ${values.length} values as rows of ${classes} classes: a whole number is required`,
    );
  }
  return values.length / classes;
}

/**
 * Largest of `classes` values from `offset`; of equal ones the first, as `numpy.argmax` does.
 *
 * @returns the index within the row
 */
export function argmax(values: ArrayLike<number>, offset: number, classes: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) if (values[offset + c] > values[offset + best]) best = c;
  return best;
}

/**
 * log p of each row, log p_c = z_c − max z − ln Σ exp(z − max z): exact where softmax itself would underflow.
 *
 * @param logits [n, classes]
 * @returns [n, classes]
 * @throws RangeError naming the first row that holds NaN or +∞, or nothing but −∞
 */
export function logSoftmax(logits: Logits, classes: number): Float64Array {
  const n = rowCount(logits, classes);
  checkLogits(logits, classes);
  const out = new Float64Array(logits.length);
  for (let row = 0; row < n; row++) {
    logSoftmaxRow(logits, row * classes, out.subarray(row * classes, (row + 1) * classes));
  }
  return out;
}

/**
 * Softmax of each row, in float64: a probability underflows only where it is below 10⁻³⁰⁸.
 *
 * @param logits [n, classes]
 * @returns [n, classes]; each row sums to 1
 * @throws RangeError naming the first row that holds NaN or +∞, or nothing but −∞
 */
export function softmax(logits: Logits, classes: number): Float64Array {
  const out = logSoftmax(logits, classes);
  for (let i = 0; i < out.length; i++) out[i] = Math.exp(out[i]);
  return out;
}

/** Throws a `RangeError` that names the first row whose softmax is undefined. */
export function checkLogits(logits: Logits, classes: number): void {
  for (let offset = 0; offset < logits.length; offset += classes) {
    let largest = -Infinity;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, logits[offset + c]); // NaN stays NaN
    if (!Number.isFinite(largest)) {
      throw new RangeError(
        `Cannot take the softmax of row ${
          offset / classes
        }: its largest logit is ${largest}; finite logits are required`,
      );
    }
  }
}

/** Writes log p of the row of `logits` at `offset` to `out`, whose length is the number of classes. */
export function logSoftmaxRow(logits: Logits, offset: number, out: Float64Array): void {
  let largest = -Infinity;
  for (let c = 0; c < out.length; c++) largest = Math.max(largest, logits[offset + c]);
  let sum = 0;
  for (let c = 0; c < out.length; c++) sum += Math.exp(logits[offset + c] - largest);
  const logSum = Math.log(sum);
  for (let c = 0; c < out.length; c++) out[c] = logits[offset + c] - largest - logSum;
}
