/**
 * Softmax cross-entropy with label smoothing, as `torch.nn.CrossEntropyLoss(label_smoothing=s)`.
 *
 * @module
 */

import lossSource from "../../kernels/softmax_cross_entropy.wgsl" with { type: "text" };
import sumSource from "../../kernels/sum_rows.wgsl" with { type: "text" };
import { loop } from "./elementwise.ts";
import { type Operation, scratch, shapeError, type Tensor } from "./operation.ts";

/** The label of a row that does not count. */
export const MASKED_LABEL = 0xffffffff;

/** Settings of the loss. */
export interface CrossEntropyOptions {
  /** Share of the target spread evenly over all classes, in [0, 1). */
  readonly labelSmoothing?: number;
}

/**
 * The output is `totals` [3]: the sum of the losses of the rows that count, how many of them are classified rightly,
 * and how many count. The gradient is that of the mean, `totals[0] / totals[2]`.
 *
 * @param logits [B, classes]
 * @param labels uint32 [B]; {@linkcode MASKED_LABEL} marks rows that do not count
 */
export function softmaxCrossEntropy(
  name: string,
  logits: Tensor,
  labels: Tensor,
  options: CrossEntropyOptions = {},
): Operation {
  const [b, classes] = logits.shape;
  if (logits.shape.length !== 2 || labels.shape[0] !== b) {
    throw shapeError(
      "softmaxCrossEntropy",
      `logits [${logits.shape}] and labels [${labels.shape}]`,
      "[B, classes] and [B] are required",
    );
  }
  const smoothing = options.labelSmoothing ?? 0;
  if (!(smoothing >= 0 && smoothing < 1)) {
    throw new RangeError(
      `Cannot build softmaxCrossEntropy: label smoothing is ${smoothing}, but a number in [0, 1) is required`,
    );
  }
  const rows = scratch(`${name} rows`, [b, 3]);
  const output = scratch(name, [3]);
  const launch = (label: string, constants: Record<string, number>, bindings: Tensor[]) =>
    loop({
      label: `${name} ${label}`,
      source: lossSource,
      count: b,
      items: 1,
      constants: { B: b, CLASSES: classes, ...constants },
      floats: { SMOOTHING: smoothing },
      bindings,
    });
  return {
    kind: "softmaxCrossEntropy",
    inputs: [logits, labels],
    output,
    forward: () => [
      launch("forward", { GRADIENT: 0 }, [logits, labels, rows]),
      {
        label: `${name} totals`,
        source: sumSource,
        constants: { COLUMNS: 3, ROWS: b },
        bindings: [rows, output],
        groups: [1, 1, 1],
      },
    ],
    backward(_target, _dOutput, gradientOf) {
      const slot = gradientOf(logits);
      if (slot === undefined) return [];
      if (slot.accumulate) {
        throw shapeError(
          "softmaxCrossEntropy",
          "a second use of the logits",
          "the loss to be their only consumer is required",
        );
      }
      return [launch("gradient", { GRADIENT: 1 }, [logits, labels, output, slot.tensor])];
    },
  };
}
