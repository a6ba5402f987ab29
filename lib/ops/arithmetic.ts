/**
 * Sum, difference, product and quotient of two tensors, broadcast to one shape as numpy does.
 *
 * @module
 */

import source from "../../kernels/arithmetic.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop } from "./elementwise.ts";
import { type Dispatch, type GradientOf, type Operation, scratch, type Tensor } from "./operation.ts";
import { reduce, type Term } from "./reduce.ts";
import {
  axesOf,
  broadcastShapes,
  broadcastStrides,
  isSplat,
  mergeAxes,
  vectorWidth,
  walkConstants,
} from "./strides.ts";

/** Which of the four. */
export type ArithmeticKind = "add" | "sub" | "mul" | "div";

const KINDS: readonly ArithmeticKind[] = ["add", "sub", "mul", "div"];

/** The derivative with respect to an operand, times dOutput: a term of dOutput and of the named operands. */
interface Derivative {
  readonly term: Term;
  readonly operands: readonly ("a" | "b")[];
  readonly scale: 1 | -1;
}

const IDENTITY: Derivative = { term: "x", operands: [], scale: 1 };
const DERIVATIVES: Readonly<Record<ArithmeticKind, Readonly<Record<"a" | "b", Derivative>>>> = {
  add: { a: IDENTITY, b: IDENTITY },
  sub: { a: IDENTITY, b: { term: "x", operands: [], scale: -1 } },
  mul: { a: { term: "xy", operands: ["b"], scale: 1 }, b: { term: "xy", operands: ["a"], scale: 1 } },
  div: { a: { term: "x/y", operands: ["b"], scale: 1 }, b: { term: "xy/zz", operands: ["a", "b"], scale: -1 } },
};

/** a + b, a - b, a * b or a / b. Sizes of 1 are repeated; the gradient of a repeated operand is summed in order. */
export function arithmetic(name: string, kind: ArithmeticKind, a: Tensor, b: Tensor): Operation {
  const shape = broadcastShapes(kind, a.shape, b.shape);
  const output = scratch(name, shape);
  const tensors = { a, b };
  const gradient = (which: "a" | "b", dOutput: Tensor, gradientOf: GradientOf): Dispatch[] => {
    const slot = gradientOf(tensors[which]);
    if (slot === undefined) return [];
    const { term, operands, scale } = DERIVATIVES[kind][which];
    return reduce({
      label: `${name} gradient of ${tensors[which].name}`,
      shape,
      result: tensors[which].shape,
      term,
      operands: [dOutput, ...operands.map((operand) => tensors[operand])],
      scale,
      slot,
    });
  };
  return {
    kind,
    inputs: [a, b],
    output,
    forward: () => [forward(`${name} forward`, kind, a, b, output)],
    backward: (_target, dOutput, gradientOf) => [
      ...gradient("a", dOutput, gradientOf),
      ...gradient("b", dOutput, gradientOf),
    ],
  };
}

function forward(label: string, kind: ArithmeticKind, a: Tensor, b: Tensor, output: Tensor): Dispatch {
  const { shape } = output;
  const strides = [a, b, output].map((tensor) => broadcastStrides(tensor.shape, shape));
  const axes = mergeAxes(axesOf(shape, strides));
  const width = vectorWidth(axes);
  const splats = [isSplat(axes, 0), isSplat(axes, 1)];
  return loop({
    label,
    source,
    count: sizeOf(shape) / width,
    width,
    constants: {
      ...walkConstants("", axes, ["A", "B"], splats.map((splat) => splat ? 1 : width), width),
      KIND: KINDS.indexOf(kind),
      A_SPLAT: splats[0] ? 1 : 0,
      B_SPLAT: splats[1] ? 1 : 0,
    },
    bindings: [a, b, output],
  });
}
