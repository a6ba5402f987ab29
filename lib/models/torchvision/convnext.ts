/**
 * ConvNeXt (Liu et al., arXiv 2201.03545).
 *
 * @module
 */

import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { constant, normal } from "../initial.ts";

const CONFIGS = {
  tiny: { widths: [96, 192, 384, 768], blocks: [3, 3, 9, 3] },
  small: { widths: [96, 192, 384, 768], blocks: [3, 3, 27, 3] },
  base: { widths: [128, 256, 512, 1024], blocks: [3, 3, 27, 3] },
  large: { widths: [192, 384, 768, 1536], blocks: [3, 3, 27, 3] },
} as const;
/** Normalisations' epsilon, and what each block's branch is first scaled by. */
const EPS = 1e-6, SCALE = 1e-6;
/** Channels within a block, in its own. */
const EXPANSION = 4;
const INITIAL = normal(0.02);
/** The axes of an image with its channels last, and back. */
const CHANNELS_LAST = [1, 2, 0], CHANNELS_FIRST = [2, 0, 1];

function conv(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  layer: { out: number; kernel: number; stride?: number; padding?: number; groups?: number },
): Value {
  return builder.conv(name, input, { ...layer, bias: true, initial: INITIAL });
}

/** Normalisation of each pixel over its channels. */
function pixelNorm(builder: NetworkBuilder, name: string, input: Value): Value {
  const rows = builder.transposed(`${name}.rows`, input, CHANNELS_LAST);
  return builder.transposed(`${name}.image`, builder.layerNorm(name, rows, EPS), CHANNELS_FIRST);
}

function block(builder: NetworkBuilder, name: string, input: Value): Value {
  const [channels] = input.shape;
  const scale = builder.weight(`${name}.layer_scale`, [channels, 1, 1], constant(SCALE));
  const linear = (index: number, x: Value, out: number) =>
    builder.linear(`${name}.block.${index}`, x, { out, initial: INITIAL });
  let x = conv(builder, `${name}.block.0`, input, { out: channels, kernel: 7, padding: 3, groups: channels });
  x = builder.layerNorm(`${name}.block.2`, builder.transposed(`${name}.block.1`, x, CHANNELS_LAST), EPS);
  x = builder.gelu(`${name}.block.4`, linear(3, x, EXPANSION * channels));
  x = builder.transposed(`${name}.block.6`, linear(5, x, channels), CHANNELS_FIRST);
  return builder.add(`${name}.add`, builder.mul(`${name}.scaled`, x, scale), input);
}

/** One of the family: its logits. */
export function convnext(size: keyof typeof CONFIGS): Architecture {
  const { widths, blocks } = CONFIGS[size];
  return (builder, numClasses) => {
    let x = conv(builder, "features.0.0", builder.images, { out: widths[0], kernel: 4, stride: 4 });
    x = pixelNorm(builder, "features.0.1", x);
    blocks.forEach((count, stage) => {
      if (stage > 0) {
        const name = `features.${2 * stage}`;
        const normalised = pixelNorm(builder, `${name}.0`, x);
        x = conv(builder, `${name}.1`, normalised, { out: widths[stage], kernel: 2, stride: 2 });
      }
      for (let i = 0; i < count; i++) x = block(builder, `features.${2 * stage + 1}.${i}`, x);
    });
    x = pixelNorm(builder, "classifier.0", builder.globalAveragePool("avgpool", x));
    return builder.head("classifier.2", builder.flatten("classifier.1", x), numClasses);
  };
}
