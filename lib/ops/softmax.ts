/**
 * Softmax along the last axis, as `torch.softmax(input, -1)`.
 *
 * @module
 */

import source from "../../kernels/softmax.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { type Operation, scratch, shapeError, type Target, type Tensor } from "./operation.ts";
import { overRows } from "./rows.ts";

/** exp(input) over its sum along the last axis. Any rank above 0; transpose for another axis. */
export function softmax(name: string, input: Tensor): Operation {
  const length = input.shape.at(-1);
  if (length === undefined) throw shapeError("softmax", "a scalar", "an axis is required");
  const output = scratch(name, input.shape);
  const launch = (target: Target, label: string, constants: Record<string, number>, bindings: Tensor[]) =>
    overRows(target, {
      label: `${name} ${label}`,
      source,
      rows: sizeOf(input.shape) / length,
      length,
      constants,
      bindings,
    });
  return {
    kind: "softmax",
    inputs: [input],
    output,
    forward: (target) => [launch(target, "forward", { BACKWARD: 0 }, [input, output])],
    backward(target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      const constants = { BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 };
      return [launch(target, "gradient", constants, [output, dOutput, slot.tensor])];
    },
  };
}
