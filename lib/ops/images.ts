/**
 * The first activation, from uint8 images.
 *
 * @module
 */

import source from "../../kernels/normalise_images.wgsl" with { type: "text" };
import { loop } from "./elementwise.ts";
import { type Operation, scratch, shapeError, type Tensor } from "./operation.ts";

/**
 * Bytes to numbers: `byte * scale + shift` per colour.
 *
 * @param images uint8 [N, H, W, 3], packed four to a word
 * @param colours [6]: scale of red, green, blue; shift of red, green, blue
 */
export function normaliseImages(name: string, images: Tensor, colours: Tensor): Operation {
  const [n, h, w, c] = images.shape;
  if (images.shape.length !== 4 || c !== 3) {
    throw shapeError("normaliseImages", `[${images.shape}]`, "[N, H, W, 3] is required");
  }
  const output = scratch(name, images.shape);
  return {
    kind: "normaliseImages",
    inputs: [images, colours],
    output,
    forward: () => [loop({ label: name, source, count: n * h * w, bindings: [images, colours, output] })],
    backward: () => [],
  };
}
