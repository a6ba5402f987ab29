/**
 * Rows of unit length, as `torch.nn.functional.normalize(input, dim=-1)`.
 *
 * @module
 */

import source from "../../kernels/l2_normalise.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { type Operation, scratch, shapeError, type Target, type Tensor } from "./operation.ts";
import { overRows } from "./rows.ts";

/** input over its Euclidean norm along the last axis, or over 1e-12 where that is larger. Any rank above 0. */
export function l2Normalise(name: string, input: Tensor): Operation {
  const length = input.shape.at(-1);
  if (length === undefined) throw shapeError("l2Normalise", "a scalar", "an axis is required");
  const output = scratch(name, input.shape);
  const launch = (target: Target, label: string, constants: Record<string, number>, bindings: Tensor[]) =>
    overRows(target, {
      label: `${name} ${label}`,
      source,
      rows: sizeOf(input.shape) / length,
      length,
      constants,
      floats: { EPS: 1e-12 },
      bindings,
    });
  return {
    kind: "l2Normalise",
    inputs: [input],
    output,
    forward: (target) => [launch(target, "forward", { BACKWARD: 0 }, [input, output])],
    backward(target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      const constants = { BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 };
      return [launch(target, "gradient", constants, [input, dOutput, slot.tensor])];
    },
  };
}
