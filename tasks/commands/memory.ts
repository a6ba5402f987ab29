/**
 * The memory plan that `--dry-run` prints.
 *
 * @module
 */

import type { MemoryEstimate } from "../../lib/inference/training_step.ts";

/** Bytes in a column of MiB. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1).padStart(9)} MiB`;
}

/** The plan as lines for people. Its total counts all of them. */
export function memoryLines(memory: MemoryEstimate & { readonly swag?: number }): string[] {
  return [
    `parameters      ${mebibytes(memory.parameters)}`,
    `gradients       ${mebibytes(memory.gradients)}`,
    `sampler state   ${mebibytes(memory.samplerState)}`,
    `prior           ${mebibytes(memory.prior)}`,
    `activations     ${mebibytes(memory.activations)}  (no plan needs less than ${
      mebibytes(memory.activationsLowerBound).trim()
    })`,
    ...memory.evaluation === undefined ? [] : [`evaluation      ${mebibytes(memory.evaluation)}`],
    ...memory.swag === undefined ? [] : [`SWAG            ${mebibytes(memory.swag)}`],
    `total           ${mebibytes(memory.total)}`,
  ];
}
