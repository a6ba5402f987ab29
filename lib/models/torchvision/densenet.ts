/**
 * Densely connected networks (Huang et al., arXiv 1608.06993).
 *
 * @module
 */

import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { normal } from "../initial.ts";
import { pooledHead } from "./layers.ts";

interface DensenetConfig {
  /** Channels that each layer adds. */
  readonly growth: number;
  /** Layers of each block. */
  readonly blocks: readonly number[];
  /** Channels of the stem. */
  readonly stem: number;
}

const CONFIGS: Readonly<Record<number, DensenetConfig>> = {
  121: { growth: 32, blocks: [6, 12, 24, 16], stem: 64 },
  161: { growth: 48, blocks: [6, 12, 36, 24], stem: 96 },
  169: { growth: 32, blocks: [6, 12, 32, 32], stem: 64 },
  201: { growth: 32, blocks: [6, 12, 48, 32], stem: 64 },
};
/** Channels between the two convolutions of a layer, in its growths. */
const BOTTLENECK = 4;

/** A convolution drawn by He et al. (fan in). */
function conv(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  layer: { readonly out: number; readonly kernel: number; readonly stride?: number },
): Value {
  const padding = (layer.kernel - 1) / 2;
  const initial = normal(Math.sqrt(2 / (input.shape[0] * layer.kernel ** 2)));
  return builder.conv(name, input, { ...layer, padding, initial });
}

function normalised(builder: NetworkBuilder, name: string, index: number | "", input: Value): Value {
  return builder.relu(`${name}.relu${index}`, builder.batchNorm(`${name}.norm${index}`, input));
}

function denseBlock(builder: NetworkBuilder, name: string, input: Value, layers: number, growth: number): Value {
  const values = [input];
  for (let i = 1; i <= layers; i++) {
    const layer = `${name}.denselayer${i}`;
    const all = values.length === 1 ? input : builder.concat(`${layer}.concat`, values);
    let x = conv(builder, `${layer}.conv1`, normalised(builder, layer, 1, all), {
      out: BOTTLENECK * growth,
      kernel: 1,
    });
    x = conv(builder, `${layer}.conv2`, normalised(builder, layer, 2, x), { out: growth, kernel: 3 });
    values.push(x);
  }
  return builder.concat(`${name}.concat`, values);
}

function transition(builder: NetworkBuilder, name: string, input: Value): Value {
  const out = Math.floor(input.shape[0] / 2);
  const x = conv(builder, `${name}.conv`, normalised(builder, name, "", input), { out, kernel: 1 });
  return builder.averagePool(`${name}.pool`, x, { kernel: 2, stride: 2 });
}

/** One of the family: its logits. */
export function densenet(depth: number): Architecture {
  const { growth, blocks, stem } = CONFIGS[depth];
  return (builder, numClasses) => {
    let x = normalised(
      builder,
      "features",
      0,
      conv(builder, "features.conv0", builder.images, { out: stem, kernel: 7, stride: 2 }),
    );
    x = builder.maxPool("features.pool0", x, { kernel: 3, stride: 2, padding: 1 });
    blocks.forEach((layers, i) => {
      x = denseBlock(builder, `features.denseblock${i + 1}`, x, layers, growth);
      if (i < blocks.length - 1) x = transition(builder, `features.transition${i + 1}`, x);
    });
    return pooledHead(builder, "classifier", normalised(builder, "features", 5, x), numClasses);
  };
}
