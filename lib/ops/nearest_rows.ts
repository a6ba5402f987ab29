/**
 * Nearest neighbours out of a bank of rows.
 *
 * @module
 */

import source from "../../kernels/nearest_rows.wgsl" with { type: "text" };
import { foldGroups, GRID_X } from "./elementwise.ts";
import { type Operation, scratch, shapeError, type Tensor } from "./operation.ts";

/**
 * For each row of similarities the row of the bank that is most similar; of equal ones the first. It has no gradient.
 *
 * @param similarities [N, M]
 * @param bank [M, D]
 * @returns the operation; its output is [N, D]
 * @throws TypeError where the shapes do not fit
 */
export function nearestRows(name: string, similarities: Tensor, bank: Tensor): Operation {
  const [rows, columns] = similarities.shape, width = bank.shape[1];
  if (similarities.shape.length !== 2 || bank.shape.length !== 2 || bank.shape[0] !== columns) {
    const found = `similarities [${similarities.shape}] and bank [${bank.shape}]`;
    throw shapeError("nearestRows", found, "[N, M] and [M, D] are required");
  }
  const output = scratch(name, [rows, width]);
  return {
    kind: "nearestRows",
    inputs: [similarities, bank],
    output,
    forward: () => [{
      label: `${name} forward`,
      source,
      constants: { ROWS: rows, COLUMNS: columns, WIDTH: width, GRID_X },
      bindings: [similarities, bank, output],
      groups: foldGroups(rows),
    }],
    backward: () => [],
  };
}
