/**
 * Reference of the training loss: cross-entropy of softmax(logits) with label smoothing, as
 * `torch.nn.CrossEntropyLoss(label_smoothing=s)`.
 *
 * @module
 */

import { sizes2, type Tensor, tensor } from "./tensor.ts";

/** The label of a row that does not count: the padding of a partial batch. */
export const NO_LABEL = 0xffffffff;

/** The loss and its gradient. */
export interface CrossEntropy {
  /** Mean over the rows that count, in nats; 0 where none does (PyTorch gives NaN there). */
  readonly loss: number;
  /** Loss of each row, `[batch]`; 0 for a row that does not count. */
  readonly rowLosses: Tensor;
  /** Gradient of `loss`, `[batch, classes]`. */
  readonly dLogits: Tensor;
}

/**
 * Cross-entropy of `logits` `[batch, classes]` with `labels` `[batch]`, where the target distribution gives
 * (1 − s) + s / classes to the label and s / classes to every other class.
 *
 * @throws {RangeError} where a label is neither a class nor {@linkcode NO_LABEL}.
 */
export function softmaxCrossEntropy(logits: Tensor, labels: ArrayLike<number>, smoothing = 0): CrossEntropy {
  const [batch, classes] = sizes2(logits);
  const counted = Array.from(labels).filter((label) => label !== NO_LABEL).length;
  const rowLosses = tensor([batch]), dLogits = tensor(logits.shape);
  for (let n = 0; n < batch; n++) {
    if (labels[n] === NO_LABEL) continue;
    if (labels[n] >= classes) {
      throw new RangeError(`Cannot score label ${labels[n]} of row ${n}: a class below ${classes} is required`);
    }
    const row = logits.data.subarray(n * classes, (n + 1) * classes);
    const greatest = Math.max(...row);
    const logSum = greatest + Math.log(row.reduce((sum, x) => sum + Math.exp(x - greatest), 0));
    for (let k = 0; k < classes; k++) {
      const target = smoothing / classes + (k === labels[n] ? 1 - smoothing : 0);
      rowLosses.data[n] += target * (logSum - row[k]);
      dLogits.data[n * classes + k] = (Math.exp(row[k] - logSum) - target) / counted;
    }
  }
  const total = rowLosses.data.reduce((sum, x) => sum + x, 0);
  return { loss: counted === 0 ? 0 : total / counted, rowLosses, dLogits };
}
