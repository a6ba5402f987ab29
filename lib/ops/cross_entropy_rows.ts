/**
 * Cross-entropy row by row, for losses that compare a batch with itself or with a distribution.
 *
 * @module
 */

import source from "../../kernels/cross_entropy_rows.wgsl" with { type: "text" };
import { type Operation, requireSize, scratch, shapeError, type Target, type Tensor } from "./operation.ts";
import { overRows } from "./rows.ts";

/** What the logits of a row should say. */
export type RowTargets =
  /** Weights [N, M], which need not sum to 1; they get no gradient. */
  | { readonly kind: "soft"; readonly targets: Tensor }
  /** Row i belongs to column (i + shift) mod M; with `withoutSelf` column i of row i does not exist. */
  | { readonly kind: "shifted"; readonly shift: number; readonly withoutSelf?: boolean }
  /** Every row belongs to the first column. */
  | { readonly kind: "first" }
  /** Row i belongs to column labels[i] - 1 or, where labels[i] is 0, to none: it has no loss. Whole numbers [N]. */
  | { readonly kind: "labels"; readonly labels: Tensor }
  /**
   * Row i belongs in equal shares to the other columns of its class; column i of row i does not exist. Classes are whole
   * numbers [N]; a row whose class no other has has no loss.
   */
  | { readonly kind: "peers"; readonly classes: Tensor };

/** What tells the targets, where it is a tensor. */
function given(targets: RowTargets): Tensor[] {
  switch (targets.kind) {
    case "soft":
      return [targets.targets];
    case "labels":
      return [targets.labels];
    case "peers":
      return [targets.classes];
    default:
      return [];
  }
}

/**
 * The loss of each row: -sum over columns of t log softmax(logits).
 *
 * @param logits [N, M]
 * @returns the operation; its output is [N], in nats
 * @throws TypeError where a shape does not fit
 * @throws RangeError where a row's column is itself and does not exist, or `shift` is no whole number from 0 on
 */
export function crossEntropyRows(name: string, logits: Tensor, targets: RowTargets): Operation {
  const [rows, columns] = logits.shape;
  if (logits.shape.length !== 2) {
    throw shapeError("crossEntropyRows", `logits [${logits.shape}]`, "[N, M] is required");
  }
  if (targets.kind === "soft" && targets.targets.shape.join() !== logits.shape.join()) {
    const found = `targets [${targets.targets.shape}] of logits [${logits.shape}]`;
    throw shapeError("crossEntropyRows", found, "equal shapes are required");
  }
  if (targets.kind === "labels" && targets.labels.shape.join() !== `${rows}`) {
    const found = `labels [${targets.labels.shape}] of logits [${logits.shape}]`;
    throw shapeError("crossEntropyRows", found, `[${rows}] is required`);
  }
  if (targets.kind === "peers" && (rows !== columns || targets.classes.shape.join() !== `${rows}`)) {
    const found = `classes [${targets.classes.shape}] of logits [${logits.shape}]`;
    throw shapeError("crossEntropyRows", found, "[N] of [N, N] are required");
  }
  const shifted = targets.kind === "shifted" ? targets : { shift: 0, withoutSelf: false };
  requireSize("crossEntropyRows", "shift", shifted.shift, 0);
  if (shifted.withoutSelf && (shifted.shift % columns === 0 || rows > columns)) {
    throw new RangeError(
      `Cannot build crossEntropyRows: rows without themselves belong to the column ${shifted.shift} further of ` +
        `[${logits.shape}], but another column of a square matrix is required`,
    );
  }
  const output = scratch(name, [rows]);
  const operands = [logits, ...given(targets)];
  const launch = (target: Target, label: string, constants: Record<string, number>, bindings: Tensor[]) =>
    overRows(target, {
      label: `${name} ${label}`,
      source,
      rows,
      length: columns,
      constants: {
        COLUMNS: columns,
        SOFT: targets.kind === "soft" ? 1 : 0,
        LABELLED: targets.kind === "labels" ? 1 : 0,
        PEERS: targets.kind === "peers" ? 1 : 0,
        STEP: targets.kind === "first" ? 0 : 1,
        SHIFT: shifted.shift,
        WITHOUT_SELF: shifted.withoutSelf || targets.kind === "peers" ? 1 : 0,
        ...constants,
      },
      bindings: [...operands, ...bindings],
    });
  return {
    kind: "crossEntropyRows",
    inputs: operands,
    output,
    forward: (target) => [launch(target, "forward", { BACKWARD: 0 }, [output])],
    backward(target, dOutput, gradientOf) {
      const slot = gradientOf(logits);
      if (slot === undefined) return [];
      const constants = { BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 };
      return [launch(target, "gradient", constants, [dOutput, slot.tensor])];
    },
  };
}
