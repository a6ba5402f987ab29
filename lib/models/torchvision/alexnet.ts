/**
 * AlexNet (Krizhevsky, arXiv 1404.5997), as torchvision has it.
 *
 * @module
 */

import type { NetworkBuilder, Value } from "./builder.ts";
import { byInputs } from "../initial.ts";
import { defaultConvolution } from "./layers.ts";

/** Convolutions by their index in `features`. */
const CONVOLUTIONS = [
  { index: 0, out: 64, kernel: 11, stride: 4, padding: 2, pool: true },
  { index: 3, out: 192, kernel: 5, padding: 2, pool: true },
  { index: 6, out: 384, kernel: 3, padding: 1, pool: false },
  { index: 8, out: 256, kernel: 3, padding: 1, pool: false },
  { index: 10, out: 256, kernel: 3, padding: 1, pool: true },
] as const;
const POSITIONS = 6, WIDTH = 4096;

/** The network's logits. */
export function alexnet(builder: NetworkBuilder, numClasses: number): Value {
  let x = builder.images;
  for (const { index, pool, ...layer } of CONVOLUTIONS) {
    const name = (offset: number) => `features.${index + offset}`;
    x = builder.conv(name(0), x, { ...layer, bias: true, ...defaultConvolution(x, layer.kernel) });
    x = builder.relu(name(1), x);
    if (pool) x = builder.maxPool(name(2), x, { kernel: 3, stride: 2 });
  }
  x = builder.flatten("flatten", builder.adaptiveAveragePool("avgpool", x, POSITIONS));
  const linear = (index: number, input: Value, out: number) => {
    const initial = byInputs(input.shape[0]);
    return builder.linear(`classifier.${index}`, input, { out, initial, initialBias: initial });
  };
  for (const index of [1, 4]) x = builder.relu(`classifier.${index + 1}`, linear(index, x, WIDTH));
  return builder.head("classifier.6", x, numClasses);
}
