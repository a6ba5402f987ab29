/**
 * The memory plan that `--dry-run` prints.
 *
 * @module
 */

import type { MemoryEstimate } from "../../lib/inference/training_step.ts";

/** The plan as lines for people. */
export function memoryLines(memory: MemoryEstimate): string[] {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1).padStart(9)} MiB`;
  return [
    `parameters      ${mebibytes(memory.parameters)}`,
    `gradients       ${mebibytes(memory.gradients)}`,
    `sampler state   ${mebibytes(memory.samplerState)}`,
    `prior           ${mebibytes(memory.prior)}`,
    `activations     ${mebibytes(memory.activations)}  (no plan needs less than ${
      mebibytes(memory.activationsLowerBound).trim()
    })`,
    `total           ${mebibytes(memory.total)}`,
  ];
}
