/**
 * The identity, but for its gradient: the loss scale of mixed precision (arXiv 1710.03740).
 *
 * @module
 */

import source from "../../kernels/scale_gradient.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import { type Operation, storageOf, type Tensor } from "./operation.ts";

/** Numbers of a loss scale's state, of which the first is the scale. */
export const LOSS_SCALE_LENGTH = 4;

/**
 * The input itself, whose gradient is multiplied by `scale[0]`, which may change from step to step. The output must be
 * the input's only use.
 */
export function scaleGradient(name: string, input: Tensor, scale: Tensor): Operation {
  const size = sizeOf(input.shape), width = widthOf(size);
  return {
    kind: "scaleGradient",
    inputs: [input, scale],
    output: { name, shape: input.shape, role: input.role, viewOf: storageOf(input) },
    forward: () => [],
    backward: (_target, dOutput) => [
      loop({ label: `${name} gradient`, source, count: size / width, width, bindings: [scale, dOutput] }),
    ],
  };
}
