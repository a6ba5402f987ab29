/**
 * Pooling.
 *
 * @module
 */

import {
  averagePool as averagePoolOperation,
  globalAveragePool as globalAverage,
  maxPool as maxPoolOperation,
} from "../../ops/pool.ts";
import { deviceValue, image, IMAGE_ORDER, inOrder } from "../arrange.ts";
import type { NodeScope } from "../scope.ts";
import type { Value } from "../value.ts";
import { paddingOf, padUneven, square } from "./convolution.ts";

/** The lowest float32, which is never the greatest of a window: kernels have no way to write down minus infinity. */
const LOWEST = -(2 - 2 ** -23) * 2 ** 127;

function window(scope: NodeScope) {
  const kernel = square(scope, "kernel_shape", 0), stride = square(scope, "strides", 1);
  const ceilMode = scope.number("ceil_mode", 0) !== 0, dilation = square(scope, "dilations", 1);
  const input = image(scope, scope.device(0));
  const padding = paddingOf(scope, input, [kernel, kernel], stride, dilation);
  return { input, padding, options: { kernel, stride, dilation, ceilMode } };
}

/** `MaxPool` without indices. */
export function maxPool(scope: NodeScope): Value {
  if (scope.node.outputs.length > 1) scope.fail("its indices are asked for");
  scope.ignore("storage_order");
  const { input: images, padding: stated, options } = window(scope);
  if (options.ceilMode && stated.some((n) => n !== stated[0])) {
    scope.fail(`its padding is [${stated}] under ceil_mode; equal sides are supported there`);
  }
  const { input, padding } = padUneven(scope, images, stated, LOWEST);
  return inOrder(scope.apply(maxPoolOperation(scope.name, input, { ...options, padding })), IMAGE_ORDER);
}

/** `AveragePool`. */
export function averagePool(scope: NodeScope): Value {
  const countIncludePad = scope.number("count_include_pad", 0) !== 0;
  const { input: images, padding: stated, options } = window(scope);
  if (options.dilation !== 1) scope.fail(`its dilation is ${options.dilation}; 1 is supported`);
  if (!countIncludePad && stated.some((n) => n !== stated[0])) {
    scope.fail(`its padding is [${stated}] and does not count; equal sides are supported`);
  }
  const { input, padding } = padUneven(scope, images, stated);
  const operation = averagePoolOperation(scope.name, input, { ...options, padding, countIncludePad });
  return inOrder(scope.apply(operation), IMAGE_ORDER);
}

/** `GlobalAveragePool`. */
export function globalAveragePool(scope: NodeScope): Value {
  const value = scope.device(0);
  const [n, c] = value.shape;
  return deviceValue(scope.apply(globalAverage(scope.name, image(scope, value))), [n, c, 1, 1], IMAGE_ORDER);
}
