/**
 * MNASNet (Tan et al., arXiv 1807.11626), B1, by its multiplier of channels.
 *
 * @module
 */

import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { makeDivisible } from "./layers.ts";

/** Blocks of a stage. */
interface Stage {
  readonly out: number;
  readonly kernel: number;
  /** Of the first block. */
  readonly stride: number;
  /** Channels within a block, in those of its input. */
  readonly expansion: number;
  readonly blocks: number;
}

const STAGES: readonly Stage[] = [
  { out: 24, kernel: 3, stride: 2, expansion: 3, blocks: 3 },
  { out: 40, kernel: 5, stride: 2, expansion: 3, blocks: 3 },
  { out: 80, kernel: 5, stride: 2, expansion: 6, blocks: 3 },
  { out: 96, kernel: 3, stride: 1, expansion: 6, blocks: 2 },
  { out: 192, kernel: 5, stride: 2, expansion: 6, blocks: 4 },
  { out: 320, kernel: 3, stride: 1, expansion: 6, blocks: 1 },
];
const STEM = 32, FIRST = 16, LAST = 1280;
/** Place of the first stage in `layers`. */
const FIRST_STAGE = 8;
const NORM = { momentum: 1 - 0.9997 };

/** Layers of a sequence, numbered as they come. */
class Sequence {
  #index: number;

  constructor(readonly builder: NetworkBuilder, readonly name: string, first = 0) {
    this.#index = first;
  }

  convNorm(input: Value, out: number, kernel: number, stride: number, groups: number, rectified: boolean): Value {
    const layer = { out, kernel, stride, groups, padding: (kernel - 1) / 2 };
    let x = this.builder.conv(`${this.name}.${this.#index++}`, input, layer);
    x = this.builder.batchNorm(`${this.name}.${this.#index++}`, x, NORM);
    return rectified ? this.builder.relu(`${this.name}.${this.#index++}`, x) : x;
  }
}

function block(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  { out, kernel, stride, expansion }: Omit<Stage, "blocks">,
): Value {
  const layers = new Sequence(builder, `${name}.layers`), wide = input.shape[0] * expansion;
  let x = layers.convNorm(input, wide, 1, 1, 1, true);
  x = layers.convNorm(x, wide, kernel, stride, wide, true);
  x = layers.convNorm(x, out, 1, 1, 1, false);
  return stride === 1 && input.shape[0] === out ? builder.add(`${name}.add`, x, input) : x;
}

/** One of the family: its logits. */
export function mnasnet(multiplier: number): Architecture {
  const channels = (n: number) => makeDivisible(n * multiplier);
  return (builder, numClasses) => {
    const stem = new Sequence(builder, "layers"), wide = channels(STEM);
    let x = stem.convNorm(builder.images, wide, 3, 2, 1, true);
    x = stem.convNorm(x, wide, 3, 1, wide, true);
    x = stem.convNorm(x, channels(FIRST), 1, 1, 1, false);
    STAGES.forEach(({ out, stride, blocks, ...stage }, i) => {
      for (let j = 0; j < blocks; j++) {
        const layer = { ...stage, out: channels(out), stride: j === 0 ? stride : 1 };
        x = block(builder, `layers.${FIRST_STAGE + i}.${j}`, x, layer);
      }
    });
    x = new Sequence(builder, "layers", FIRST_STAGE + STAGES.length).convNorm(x, LAST, 1, 1, 1, true);
    const features = builder.flatten("flatten", builder.globalAveragePool("mean", x));
    return builder.head("classifier.1", features, numClasses);
  };
}
