/**
 * Reference of rows of unit length.
 *
 * @module
 */

import { mapRows } from "./softmax.ts";
import type { Twin } from "./twin.ts";

const EPS = 1e-12;

/** Operand `input`. */
export const l2Normalise: Twin = {
  forward: ({ input }) =>
    mapRows(input, input.shape[input.shape.length - 1], (row) => row.map((x) => x / Math.max(EPS, Math.hypot(...row)))),
  backward(dOutput, { input }) {
    const length = input.shape[input.shape.length - 1];
    return {
      input: mapRows(input, length, (row, index) => {
        const d = dOutput.data.subarray(index * length, (index + 1) * length), norm = Math.hypot(...row);
        if (norm < EPS) return d.map((x) => x / EPS);
        const along = row.reduce((sum, x, i) => sum + x * d[i], 0) / norm ** 2;
        return row.map((x, i) => (d[i] - along * x) / norm);
      }),
    };
  },
};
