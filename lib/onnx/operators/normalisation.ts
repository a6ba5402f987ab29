/**
 * Normalisation and softmax.
 *
 * @module
 */

import { batchNorm } from "../../ops/batch_norm.ts";
import { layerNorm } from "../../ops/layer_norm.ts";
import { softmax as softmaxOperation } from "../../ops/softmax.ts";
import { arranged, image, IMAGE_ORDER, inOrder, plain, reshaped, view } from "../arrange.ts";
import type { NodeScope } from "../scope.ts";
import { identityOrder, type Value } from "../value.ts";

/** `BatchNormalization`, whether exported for evaluation or for training. */
export function batchNormalisation(scope: NodeScope): Value {
  scope.ignore("training_mode", "spatial");
  const value = scope.device(0);
  const eps = scope.number("epsilon", 1e-5), stated = 1 - scope.number("momentum", 0.9);
  const momentum = scope.construction.batchNormMomentum ?? stated;
  const tensors = {
    weight: scope.device(1).tensor,
    bias: scope.device(2).tensor,
    runningMean: scope.device(3).tensor,
    runningVariance: scope.device(4).tensor,
  };
  const flat = value.shape.length === 2;
  const images = flat ? reshaped(scope, value, [...value.shape, 1, 1]) : value;
  const output = scope.apply(batchNorm(scope.name, image(scope, images), tensors, { eps, momentum }));
  const result = inOrder(output, IMAGE_ORDER);
  return flat ? reshaped(scope, result, value.shape) : result;
}

/** `LayerNormalization` over the last axes. */
export function layerNormalisation(scope: NodeScope): Value {
  scope.ignore("stash_type");
  const value = scope.device(0), rank = value.shape.length;
  const axes = rank - scope.axis(scope.number("axis", -1), rank);
  const epsilon = scope.number("epsilon", 1e-5);
  const weight = plain(scope, scope.device(1));
  const bias = scope.has(2) ? plain(scope, scope.device(2)) : undefined;
  // Rows may lie in any order, as long as each lies in one piece.
  const outer = value.order.filter((axis) => axis < rank - axes);
  const order = [...outer, ...identityOrder(rank).slice(rank - axes)];
  const input = arranged(scope, value, order);
  return inOrder(scope.apply(layerNorm(scope.name, input, { axes, weight, bias, epsilon })), order);
}

/** `Softmax` along an axis. Before opset 13 all axes from the given one on are one. */
export function softmax(scope: NodeScope): Value {
  const value = scope.device(0), rank = value.shape.length;
  const axis = scope.axis(scope.number("axis", scope.opset < 13 ? 1 : -1), rank);
  if (scope.opset < 13 && axis !== rank - 1) {
    const input = plain(scope, value);
    const rows = value.shape.slice(0, axis).reduce((a, b) => a * b, 1);
    const flat = view(scope, input, [rows, value.shape.slice(axis).reduce((a, b) => a * b, 1)]);
    return inOrder(view(scope, scope.apply(softmaxOperation(scope.name, flat)), value.shape), identityOrder(rank));
  }
  const order = [...value.order.filter((other) => other !== axis), axis];
  return inOrder(scope.apply(softmaxOperation(scope.name, arranged(scope, value, order))), order);
}
