/**
 * Reference of the cross-entropy of each row.
 *
 * @module
 */

import { mapRows } from "./softmax.ts";
import { tensor } from "./tensor.ts";
import type { Operands, Twin } from "./twin.ts";

/** `first`, or `shift` and `withoutSelf`, where there are neither soft targets nor labels nor classes. */
interface Config {
  readonly first?: boolean;
  readonly shift?: number;
  readonly withoutSelf?: boolean;
}

/** Weights and probabilities of a row. */
function rowOf({ logits, targets, labels, classes }: Operands, { first, shift = 0, withoutSelf }: Config, row: number) {
  const columns = logits.shape[1];
  const x = Array.from(
    logits.data.subarray(row * columns, (row + 1) * columns),
    (value, column) => (withoutSelf || classes) && column === row ? -Infinity : value,
  );
  const wanted = labels ? labels.data[row] - 1 : first ? 0 : (row + shift) % columns;
  const isPeer = (column: number) => column !== row && classes.data[column] === classes.data[row];
  const peers = x.filter((_, column) => classes && isPeer(column)).length;
  const t = x.map((_, column) =>
    classes
      ? Number(isPeer(column)) / Math.max(1, peers)
      : targets
      ? targets.data[row * columns + column]
      : column === wanted
      ? 1
      : 0
  );
  const top = Math.max(...x), total = x.reduce((sum, value) => sum + Math.exp(value - top), 0);
  const logProbabilities = x.map((value) => value - top - Math.log(total));
  return { t, logProbabilities };
}

/** Operands `logits` and, where they are soft, `targets`, `labels` from 1 on, or `classes`; these get no gradient. */
export const crossEntropyRows: Twin = {
  forward(operands, config: Config) {
    const rows = operands.logits.shape[0];
    return tensor(
      [rows],
      Array.from({ length: rows }, (_, row) => {
        const { t, logProbabilities } = rowOf(operands, config, row);
        return -t.reduce((sum, weight, column) => sum + (weight === 0 ? 0 : weight * logProbabilities[column]), 0);
      }),
    );
  },
  backward(dOutput, operands, config: Config) {
    return {
      logits: mapRows(operands.logits, operands.logits.shape[1], (_, row) => {
        const { t, logProbabilities } = rowOf(operands, config, row);
        const weight = t.reduce((a, b) => a + b);
        return logProbabilities.map((x, column) => dOutput.data[row] * (weight * Math.exp(x) - t[column]));
      }),
    };
  },
};
