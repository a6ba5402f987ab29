/**
 * Vision transformers (Dosovitskiy et al., arXiv 2010.11929). Position embeddings are for images of one size.
 *
 * @module
 */

import { UsageError } from "../../errors.ts";
import { attention } from "./attention.ts";
import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { byInputs, constant, normal, xavier } from "../initial.ts";

/** One of the family. */
export interface TransformerConfig {
  /** Side of a patch, in pixels. */
  readonly patch: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  /** Within the blocks of two linear layers. */
  readonly wide: number;
}

const BASE = { layers: 12, heads: 12, width: 768, wide: 3072 };
const LARGE = { layers: 24, heads: 16, width: 1024, wide: 4096 };
const CONFIGS = {
  b_16: { ...BASE, patch: 16 },
  b_32: { ...BASE, patch: 32 },
  l_16: { ...LARGE, patch: 16 },
  l_32: { ...LARGE, patch: 32 },
  h_14: { patch: 14, layers: 32, heads: 16, width: 1280, wide: 5120 },
} as const satisfies Record<string, TransformerConfig>;
const EPS = 1e-6;

function layer(builder: NetworkBuilder, name: string, input: Value, { heads, width, wide }: TransformerConfig): Value {
  const [rows] = input.shape, within = `${name}.self_attention`;
  const normalised = builder.layerNorm(`${name}.ln_1`, input, EPS);
  const weights = [
    builder.weight(`${within}.in_proj_weight`, [3 * width, width], xavier(width, 3 * width)),
    builder.weight(`${within}.in_proj_bias`, [3 * width], constant(0)),
  ];
  const qkv = builder.linearOf(`${within}.in_proj`, normalised, weights, [rows, 3 * width]);
  const attended = attention(builder, within, qkv, heads);
  const projected = builder.linear(`${within}.out_proj`, attended, { out: width, initial: byInputs(width) });
  const x = builder.add(`${name}.attended`, projected, input);
  const linear = (index: number, value: Value, out: number) =>
    builder.linear(`${name}.mlp.${index}`, value, {
      out,
      initial: xavier(width, wide),
      initialBias: normal(1e-6),
    });
  const inner = builder.gelu(`${name}.mlp.1`, linear(0, builder.layerNorm(`${name}.ln_2`, x, EPS), wide));
  return builder.add(`${name}.output`, x, linear(3, inner, width));
}

/** One of the published ones: its logits. */
export function visionTransformer(size: keyof typeof CONFIGS): Architecture {
  return transformer(CONFIGS[size]);
}

/**
 * A vision transformer: its logits.
 *
 * @throws UsageError where patches do not cover the images
 */
export function transformer(config: TransformerConfig): Architecture {
  const { patch, width } = config;
  return (builder, numClasses) => {
    const [, height, columns] = builder.images.shape;
    if (height % patch !== 0 || columns % patch !== 0) {
      throw new UsageError(
        `Cannot build a vision transformer of patches of ${patch}x${patch} pixels for images of ${height}x${columns}: ` +
          `sides that are multiples of ${patch} are required`,
      );
    }
    const token = builder.weight("class_token", [1, 1, width], constant(0));
    const initial = normal(Math.sqrt(1 / (3 * patch ** 2)));
    const patches = builder.conv("conv_proj", builder.images, {
      out: width,
      kernel: patch,
      stride: patch,
      bias: true,
      initial,
    });
    const count = patches.shape[1] * patches.shape[2];
    const rows = builder.transposed("rows", builder.reshaped("patches", patches, [width, count]), [1, 0]);
    const tokens = builder.concat("tokens", [builder.repeated("class_tokens", token, [1, width]), rows]);
    const positions = builder.weight("encoder.pos_embedding", [1, count + 1, width], normal(0.02));
    let x = builder.add("encoder.embedded", tokens, positions);
    for (let i = 0; i < config.layers; i++) x = layer(builder, `encoder.layers.encoder_layer_${i}`, x, config);
    x = builder.slice("class", builder.layerNorm("encoder.ln", x, EPS), 0, 0, 1);
    return builder.head("heads.head", builder.reshaped("features", x, [width]), numClasses);
  };
}
