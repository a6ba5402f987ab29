/**
 * Elementwise sum of two tensors of one shape.
 *
 * @module
 */

import source from "../../kernels/add.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import { type Dispatch, type GradientSlot, type Operation, scratch, shapeError, type Tensor } from "./operation.ts";

/** Copies a tensor into a gradient, or adds it where another consumer was there first. */
export function copyInto(label: string, tensor: Tensor, slot: GradientSlot): Dispatch {
  const size = sizeOf(tensor.shape), width = widthOf(size);
  const constants = { COPY: 1, ACCUMULATE: slot.accumulate ? 1 : 0 };
  return loop({ label, source, count: size / width, width, constants, bindings: [tensor, slot.tensor] });
}

/** a + b. */
export function add(name: string, a: Tensor, b: Tensor): Operation {
  if (a.shape.join() !== b.shape.join()) {
    throw shapeError("add", `${a.name} [${a.shape}] and ${b.name} [${b.shape}]`, "equal shapes are required");
  }
  const output = scratch(name, a.shape);
  const size = sizeOf(a.shape), width = widthOf(size);
  return {
    kind: "add",
    inputs: [a, b],
    output,
    forward: () => [
      loop({
        label: `${name} forward`,
        source,
        count: size / width,
        width,
        constants: { COPY: 0 },
        bindings: [a, b, output],
      }),
    ],
    backward: (_target, dOutput, gradientOf) =>
      [a, b].flatMap((input) => {
        const slot = gradientOf(input);
        return slot ? [copyInto(`${name} gradient of ${input.name}`, dOutput, slot)] : [];
      }),
  };
}
