/**
 * MobileNetV2 (Sandler et al., arXiv 1801.04381).
 *
 * @module
 */

import type { NetworkBuilder, Value } from "./builder.ts";
import { convNorm, pooledHead } from "./layers.ts";

/** Blocks of a stage. */
interface Stage {
  /** Channels within a block, in those of its input. */
  readonly expansion: number;
  readonly out: number;
  readonly blocks: number;
  /** Of the first block. */
  readonly stride: number;
}

const STAGES: readonly Stage[] = [
  { expansion: 1, out: 16, blocks: 1, stride: 1 },
  { expansion: 6, out: 24, blocks: 2, stride: 2 },
  { expansion: 6, out: 32, blocks: 3, stride: 2 },
  { expansion: 6, out: 64, blocks: 4, stride: 2 },
  { expansion: 6, out: 96, blocks: 3, stride: 1 },
  { expansion: 6, out: 160, blocks: 3, stride: 2 },
  { expansion: 6, out: 320, blocks: 1, stride: 1 },
];
const STEM = 32, LAST = 1280;

function invertedResidual(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  { expansion, out, stride }: Omit<Stage, "blocks">,
): Value {
  const wide = input.shape[0] * expansion;
  let x = input, index = 0;
  if (expansion !== 1) {
    x = convNorm(builder, `${name}.conv.${index++}`, x, { out: wide, kernel: 1, activation: "relu6" });
  }
  const depthwise = { out: wide, kernel: 3, stride, groups: wide, activation: "relu6" } as const;
  x = convNorm(builder, `${name}.conv.${index++}`, x, depthwise);
  x = builder.conv(`${name}.conv.${index++}`, x, { out, kernel: 1 });
  x = builder.batchNorm(`${name}.conv.${index}`, x);
  return stride === 1 && input.shape[0] === out ? builder.add(`${name}.add`, input, x) : x;
}

/** The network's logits. */
export function mobilenetV2(builder: NetworkBuilder, numClasses: number): Value {
  let index = 0;
  const next = () => `features.${index++}`;
  let x = convNorm(builder, next(), builder.images, { out: STEM, kernel: 3, stride: 2, activation: "relu6" });
  for (const { blocks, stride, ...stage } of STAGES) {
    for (let i = 0; i < blocks; i++) {
      x = invertedResidual(builder, next(), x, { ...stage, stride: i === 0 ? stride : 1 });
    }
  }
  x = convNorm(builder, next(), x, { out: LAST, kernel: 1, activation: "relu6" });
  return pooledHead(builder, "classifier.1", x, numClasses);
}
