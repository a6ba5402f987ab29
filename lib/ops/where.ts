/**
 * A choice between two tensors, element by element, as `torch.where`.
 *
 * @module
 */

import source from "../../kernels/where.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop } from "./elementwise.ts";
import { type Dispatch, type GradientOf, type Operation, scratch, type Tensor } from "./operation.ts";
import { reduce } from "./reduce.ts";
import {
  axesOf,
  broadcastShapes,
  broadcastStrides,
  isSplat,
  mergeAxes,
  vectorWidth,
  walkConstants,
} from "./strides.ts";

/** What a launch does: chooses, or keeps the part of a gradient that belongs to a (KEEP 1) or to b (KEEP 0). */
type Constants = Readonly<Record<"MASKED" | "KEEP" | "ACCUMULATE", number>>;

const CHOOSE: Constants = { MASKED: 0, KEEP: 0, ACCUMULATE: 0 };

/** Writes a choice between `a` and `b`, or a part of `a`, into `output`. */
function launch(
  label: string,
  constants: Constants,
  condition: Tensor,
  a: Tensor,
  output: Tensor,
  b?: Tensor,
): Dispatch {
  const { shape } = output;
  const strides = [condition, a, b ?? a, output].map((tensor) => broadcastStrides(tensor.shape, shape));
  const axes = mergeAxes(axesOf(shape, strides));
  const width = vectorWidth(axes);
  const splats = [0, 1, 2].map((operand) => isSplat(axes, operand));
  const [conditionSplat, aSplat, bSplat] = splats.map(Number);
  return loop({
    label,
    source,
    count: sizeOf(shape) / width,
    width,
    constants: {
      ...walkConstants("", axes, ["CONDITION", "A", "B"], splats.map((splat) => splat ? 1 : width), width),
      CONDITION_SPLAT: conditionSplat,
      A_SPLAT: aSplat,
      B_SPLAT: bSplat,
      ...constants,
    },
    bindings: b ? [condition, a, output, b] : [condition, a, output],
  });
}

/**
 * `a` where `condition` (unsigned integers) is not 0, `b` elsewhere. Sizes of 1 are repeated; the gradient of a repeated
 * operand is summed in order. What was not chosen has no part in gradients, not even as NaN.
 */
export function where(name: string, condition: Tensor, a: Tensor, b: Tensor): Operation {
  const shape = broadcastShapes("where", condition.shape, a.shape, b.shape);
  const output = scratch(name, shape);
  const gradient = (operand: Tensor, keep: 0 | 1, dOutput: Tensor, gradientOf: GradientOf): Dispatch[] => {
    const slot = gradientOf(operand);
    if (slot === undefined) return [];
    const label = `${name} gradient of ${operand.name}`;
    const whole = operand.shape.join() === shape.join();
    const kept = whole ? slot.tensor : scratch(`${label} repeated`, shape);
    const constants = { MASKED: 1, KEEP: keep, ACCUMULATE: whole && slot.accumulate ? 1 : 0 };
    const masked = launch(label, constants, condition, dOutput, kept);
    if (whole) return [masked];
    return [
      masked,
      ...reduce({ label: `${label} sum`, shape, result: operand.shape, term: "x", operands: [kept], slot }),
    ];
  };
  return {
    kind: "where",
    inputs: [condition, a, b],
    output,
    forward: () => [launch(`${name} forward`, CHOOSE, condition, a, output, b)],
    backward: (_target, dOutput, gradientOf) => [
      ...gradient(a, 1, dOutput, gradientOf),
      ...gradient(b, 0, dOutput, gradientOf),
    ],
  };
}
