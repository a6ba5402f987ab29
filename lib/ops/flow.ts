/**
 * Where a gradient begins and where it ends.
 *
 * @module
 */

import { sizeOf } from "../tensor.ts";
import { type Operation, scratch, shapeError, type Tensor } from "./operation.ts";
import { copy, fill } from "./strided_copy.ts";
import { stridesOf } from "./strides.ts";

function copied(kind: string, name: string, input: Tensor, output: Tensor, backward: Operation["backward"]): Operation {
  const region = { strides: stridesOf(input.shape), offset: 0 };
  const forward = () => [
    copy(`${name} forward`, input.shape, { ...region, tensor: input }, { ...region, tensor: output }),
  ];
  return { kind, inputs: [input], output, forward, backward };
}

/** The same numbers, of which nothing flows back: `input.detach()`. */
export function stopGradient(name: string, input: Tensor): Operation {
  return copied("stopGradient", name, input, scratch(name, input.shape), () => []);
}

/**
 * The end of a graph that is trained: its gradient is 1.
 *
 * @param input one number
 * @throws TypeError where it is more than one
 */
export function objective(name: string, input: Tensor): Operation {
  if (sizeOf(input.shape) !== 1) throw shapeError("objective", `[${input.shape}]`, "one number is required");
  const output = scratch(name, input.shape);
  return copied("objective", name, input, output, (_target, _dOutput, gradientOf) => {
    const slot = gradientOf(input);
    if (slot === undefined) return [];
    if (slot.accumulate) {
      throw shapeError("objective", `a second use of ${input.name}`, "a loss of its own is required");
    }
    return [fill(`${name} gradient`, slot.tensor, 1)];
  });
}
