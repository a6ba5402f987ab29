/**
 * Moving the elements of images: the parameter-free shortcut of CIFAR ResNets, and flattening.
 *
 * @module
 */

import { move } from "./movement.ts";
import { imageShape, type Operation, requireSize, type Tensor } from "./operation.ts";
import { stridesOf } from "./strides.ts";

/** How {@linkcode padChannels} widens. */
export interface PadChannelsOptions {
  /** Zero channels before the input's. */
  readonly before: number;
  /** Zero channels after the input's. */
  readonly after: number;
  /** Keep every `stride`-th position on both axes. */
  readonly stride?: number;
}

/**
 * Subsamples input [N, H, W, C] and pads its channels with zeros: the "option A" shortcut of He et al. (arXiv
 * 1512.03385, section 4.2).
 */
export function padChannels(name: string, input: Tensor, options: PadChannelsOptions): Operation {
  const { n, h, w, c } = imageShape("padChannels", input);
  const { before, after, stride = 1 } = options;
  requireSize("padChannels", "before", before, 0);
  requireSize("padChannels", "after", after, 0);
  requireSize("padChannels", "stride", stride);
  const kept = [n, Math.ceil(h / stride), Math.ceil(w / stride), c];
  const shape = [...kept.slice(0, 3), before + c + after];
  const [image, row, column] = stridesOf(input.shape);
  const source = { strides: [image, row * stride, column * stride, 1], offset: 0 };
  const destination = { strides: stridesOf(shape), offset: before };
  return move("padChannels", name, shape, [{ input, sizes: kept, source, destination }]);
}

/** input [N, H, W, C] to [N, C * H * W], in the order of `torch.flatten` on [N, C, H, W]. */
export function flatten(name: string, input: Tensor): Operation {
  const { n, h, w, c } = imageShape("flatten", input);
  const source = { strides: [c * h * w, 1, c], offset: 0 };
  const destination = { strides: [c * h * w, h * w, 1], offset: 0 };
  return move("flatten", name, [n, c * h * w], [{ input, sizes: [n, c, h * w], source, destination }]);
}
