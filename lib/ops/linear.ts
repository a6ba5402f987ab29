/**
 * Fully connected layer, as `torch.nn.functional.linear`: a 1x1 convolution on 1x1 images.
 *
 * @module
 */

import { sizeOf } from "../tensor.ts";
import { conv2d } from "./conv2d.ts";
import { type Operation, shapeError, type Tensor, view } from "./operation.ts";

/** input [..., IN] times weight [IN, OUT] plus bias [OUT], to [..., OUT]. */
export function linear(name: string, input: Tensor, weight: Tensor, bias?: Tensor): Operation {
  const features = input.shape.at(-1);
  if (features === undefined || weight.shape.length !== 2 || weight.shape[0] !== features) {
    throw shapeError(
      "linear",
      `input [${input.shape}] and weight [${weight.shape}]`,
      "[..., IN] and [IN, OUT] are required",
    );
  }
  const images = view(input, [sizeOf(input.shape) / features, 1, 1, features]);
  const product = conv2d(name, images, view(weight, [1, 1, ...weight.shape]), { bias });
  return {
    ...product,
    kind: "linear",
    output: view(product.output, [...input.shape.slice(0, -1), weight.shape[1]]),
    // The bias gradient and the kernels' shapes are those of images.
    backward: (target, dOutput, gradientOf) =>
      product.backward(target, view(dOutput, product.output.shape), gradientOf),
  };
}
