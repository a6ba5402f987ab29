/**
 * The CIFAR residual network (He et al., arXiv 1512.03385, parameter-free shortcuts) over any system's tensors.
 *
 * @module
 */

import type { Problem } from "./peer.ts";

/** The few operations that the network needs. Parameters are named as in PyTorch's state dictionary. */
export interface CifarOperations<T> {
  /** 3x3 convolution with padding 1. */
  conv(x: T, weight: string, stride: number): T;
  /** BatchNorm with the batch's statistics; `name` has a weight and a bias. */
  norm(x: T, name: string): T;
  relu(x: T): T;
  add(a: T, b: T): T;
  /** Every second position, and `extra` zero channels on both sides. */
  shortcut(x: T, extra: number): T;
  /** Another reference to `x`, for systems that count them. */
  share(x: T): T;
  /** Mean over positions, then the linear layer. */
  head(x: T): T;
}

/** Layers of a CIFAR network with parameter-free shortcuts, as 20 of `resnet20`; `undefined` for other networks. */
export function cifarDepth(encoder: string): number | undefined {
  return [8, 20, 32, 44, 56, 110].find((depth) => encoder === `resnet${depth}`);
}

/** Logits of the problem's network. */
export function cifarLogits<T>(on: CifarOperations<T>, { encoder }: Problem, images: T): T {
  const depth = cifarDepth(encoder);
  if (depth === undefined) throw new TypeError(`Cannot build ${encoder}: a CIFAR network is required`);
  let x = on.relu(on.norm(on.conv(images, "conv1.weight", 1), "bn1"));
  for (const [stage, channels] of [16, 32, 64].entries()) {
    for (let index = 0; index < (depth - 2) / 6; index++) {
      const name = `layer${stage + 1}.${index}`, stride = stage > 0 && index === 0 ? 2 : 1;
      const before = on.share(x);
      x = on.relu(on.norm(on.conv(x, `${name}.conv1.weight`, stride), `${name}.bn1`));
      x = on.norm(on.conv(x, `${name}.conv2.weight`, 1), `${name}.bn2`);
      x = on.relu(on.add(x, stride === 1 ? before : on.shortcut(before, channels / 4)));
    }
  }
  return on.head(x);
}
