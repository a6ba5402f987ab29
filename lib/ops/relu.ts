/**
 * Rectified linear unit.
 *
 * @module
 */

import source from "../../kernels/relu.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import { type Operation, scratch, type Tensor } from "./operation.ts";

/** max(input, 0); the gradient at 0 is 0, as in PyTorch. Any shape. */
export function relu(name: string, input: Tensor): Operation {
  const output = scratch(name, input.shape);
  const size = sizeOf(input.shape), width = widthOf(size);
  const launch = (label: string, constants: Record<string, number>, bindings: Tensor[]) =>
    loop({ label: `${name} ${label}`, source, count: size / width, width, constants, bindings });
  return {
    kind: "relu",
    inputs: [input],
    output,
    forward: () => [launch("forward", { BACKWARD: 0 }, [input, output])],
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      const constants = { BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 };
      return [launch("gradient", constants, [output, dOutput, slot.tensor])];
    },
  };
}
