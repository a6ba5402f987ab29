/**
 * Reference of a choice between two tensors (`torch.where`).
 *
 * @module
 */

import { broadcastTo, commonShape, sumTo } from "./indices.ts";
import { tensor } from "./tensor.ts";
import type { Operands, Twin } from "./twin.ts";

function broadcast({ condition, a, b }: Operands) {
  const shape = commonShape(condition.shape, commonShape(a.shape, b.shape));
  return [condition, a, b].map((operand) => broadcastTo(operand, shape));
}

/** Operands `condition`, `a` and `b`: a where the condition is not 0. */
export const where: Twin = {
  forward(operands) {
    const [condition, a, b] = broadcast(operands);
    return tensor(a.shape, a.data.map((x, i) => condition.data[i] !== 0 ? x : b.data[i]));
  },
  backward(dOutput, operands) {
    const [condition] = broadcast(operands);
    const part = (ofA: boolean) =>
      tensor(dOutput.shape, dOutput.data.map((d, i) => (condition.data[i] !== 0) === ofA ? d : 0));
    return { a: sumTo(part(true), operands.a.shape), b: sumTo(part(false), operands.b.shape) };
  },
};
