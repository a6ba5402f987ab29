/**
 * Fully connected layer, as `torch.nn.functional.linear`: a 1x1 convolution on a 1x1 image.
 *
 * @module
 */

import { conv2d } from "./conv2d.ts";
import { type Operation, shapeError, type Tensor } from "./operation.ts";

/** input [N, IN] times weight [IN, OUT] plus bias [OUT], to [N, OUT]. */
export function linear(name: string, input: Tensor, weight: Tensor, bias?: Tensor): Operation {
  const [n, features] = input.shape;
  if (input.shape.length !== 2 || weight.shape.length !== 2 || weight.shape[0] !== features) {
    throw shapeError(
      "linear",
      `input [${input.shape}] and weight [${weight.shape}]`,
      "[N, IN] and [IN, OUT] are required",
    );
  }
  const image = { ...input, shape: [n, 1, 1, features] };
  const kernel = { ...weight, shape: [1, 1, ...weight.shape] };
  const product = conv2d(name, image, kernel, { bias });
  const output = { ...product.output, shape: [n, weight.shape[1]] };
  // The convolution binds views; the graph must see the tensors themselves.
  const views = new Map<Tensor, Tensor>([[image, input], [kernel, weight], [product.output, output]]);
  const original = (tensor: Tensor) => views.get(tensor) ?? tensor;
  return {
    kind: "linear",
    inputs: product.inputs.map(original),
    output,
    forward: (target) => product.forward(target).map((d) => ({ ...d, bindings: d.bindings.map(original) })),
    backward: (target, dOutput, gradientOf) =>
      product.backward(target, dOutput, (tensor) => gradientOf(original(tensor)))
        .map((d) => ({ ...d, bindings: d.bindings.map(original) })),
  };
}
