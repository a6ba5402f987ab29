/**
 * Fully connected layers of any size.
 *
 * @module
 */

import { add } from "../ops/add.ts";
import { linear } from "../ops/linear.ts";
import { slice } from "../ops/movement.ts";
import {
  BINDING_ALIGNMENT,
  bytesOf,
  type Operation,
  type Parameter,
  partOf,
  storageOf,
  type Tensor,
} from "../ops/operation.ts";

/** What every WebGPU device binds at once: the specification's least `maxStorageBufferBindingSize`. */
const LEAST_BINDING_BYTES = 2 ** 27;

/**
 * input [..., IN] times weight [IN, OUT] plus bias [OUT]. A parameter larger than every device binds is cut into rows, and
 * the products with these are summed, in the same way on all devices.
 *
 * @param apply appends an operation to the graph and returns its output
 * @returns [..., OUT]
 */
export function applyLinear(
  apply: (operation: Operation) => Tensor,
  name: string,
  input: Tensor,
  weight: Tensor,
  bias?: Tensor,
  maxPartBytes = LEAST_BINDING_BYTES,
): Tensor {
  const whole = storageOf(weight);
  if (bytesOf(whole) <= maxPartBytes || whole.role !== "parameter" || whole.shape.join() !== weight.shape.join()) {
    return apply(linear(name, input, weight, bias));
  }
  const [features, out] = whole.shape, axis = input.shape.length - 1, rows = rowsOfPart(features, out, maxPartBytes);
  const product = (start: number) => {
    const end = Math.min(features, start + rows);
    const columns = apply(slice(`${name} input from ${start}`, input, [{ axis, start, end }]));
    const part = partOf(whole as Parameter, start, end - start);
    return apply(linear(`${name} from ${start}`, columns, part, start === 0 ? bias : undefined));
  };
  let sum = product(0);
  for (let start = rows; start < features; start += rows) {
    sum = apply(add(`${name} to ${start + rows}`, sum, product(start)));
  }
  return sum;
}

/** Rows of parts as equal as can be, of which each begins where a binding may. */
function rowsOfPart(features: number, out: number, maxPartBytes: number): number {
  let unit = BINDING_ALIGNMENT;
  while (unit > 1 && unit / 2 * out % BINDING_ALIGNMENT === 0) unit /= 2;
  const aligned = (rows: number, round: (x: number) => number) => round(rows / unit) * unit;
  const most = Math.max(unit, aligned(maxPartBytes / 4 / out, Math.floor));
  return aligned(features / Math.ceil(features / most), Math.ceil);
}
