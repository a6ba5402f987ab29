/**
 * Activations with settings of their own.
 *
 * @module
 */

import { relu as reluOperation } from "../../ops/relu.ts";
import { type Unary, unary } from "../../ops/unary.ts";
import { zip } from "../host.ts";
import type { NodeScope } from "../scope.ts";
import type { DeviceValue, Value } from "../value.ts";

function apply(scope: NodeScope, fn: Unary): DeviceValue {
  const value = scope.device(0);
  return { ...value, tensor: scope.apply(unary(scope.name, value.tensor, fn)) };
}

/** `Relu`. */
export function relu(scope: NodeScope): Value {
  const value = scope.value(0);
  if (value.place === "host") return zip(value.type, [value], (x) => Math.max(x, 0));
  return { ...value, tensor: scope.apply(reluOperation(scope.name, value.tensor)) };
}

/** `LeakyRelu`. */
export function leakyRelu(scope: NodeScope): Value {
  return apply(scope, { kind: "leakyRelu", slope: scope.number("alpha", 0.01) });
}

/** `HardSigmoid`. */
export function hardSigmoid(scope: NodeScope): Value {
  return apply(scope, {
    kind: "hardSigmoid",
    alpha: scope.number("alpha", 0.2),
    beta: scope.number("beta", 0.5),
  });
}

/** `Clip` to constant limits. */
export function clip(scope: NodeScope): Value {
  const limit = (index: number) => scope.has(index) ? scope.single(index) : undefined;
  const [min, max] = [limit(1), limit(2)];
  const value = scope.value(0);
  if (value.place === "device") return apply(scope, { kind: "clip", min, max });
  return zip(value.type, [value], (x) => Math.min(Math.max(x, min ?? -Infinity), max ?? Infinity));
}
