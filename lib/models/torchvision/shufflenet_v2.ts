/**
 * ShuffleNet V2 (Ma et al., arXiv 1807.11164).
 *
 * @module
 */

import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { defaultConvolution, pooledHead } from "./layers.ts";

/** Channels of the stages and of the last convolution, by the multiplier of channels. */
const CHANNELS = {
  x0_5: [48, 96, 192, 1024],
  x1_0: [116, 232, 464, 1024],
  x1_5: [176, 352, 704, 1024],
  x2_0: [244, 488, 976, 2048],
} as const;
const STEM = 24, BLOCKS = [4, 8, 4];

/** A convolution and its BatchNorm, `NAME.INDEX` and the next. */
function convNorm(
  builder: NetworkBuilder,
  [name, index]: readonly [string, number],
  input: Value,
  layer: { readonly out: number; readonly kernel: number; readonly stride?: number; readonly groups?: number },
): Value {
  const padding = (layer.kernel - 1) / 2, { initial } = defaultConvolution(input, layer.kernel, layer.groups);
  const x = builder.conv(`${name}.${index}`, input, { ...layer, padding, initial });
  return builder.batchNorm(`${name}.${index + 1}`, x);
}

/** The two halves of the channels, taken from in turns. */
function shuffled(builder: NetworkBuilder, name: string, halves: readonly Value[]): Value {
  const joined = builder.concat(`${name}.concat`, halves), [channels, height, width] = joined.shape;
  const apart = builder.reshaped(`${name}.apart`, joined, [2, channels / 2, height, width]);
  const turned = builder.transposed(`${name}.turned`, apart, [1, 0, 2, 3]);
  return builder.reshaped(`${name}.shuffled`, turned, joined.shape);
}

function unit(builder: NetworkBuilder, name: string, input: Value, out: number, stride: number): Value {
  const half = out / 2, channels = input.shape[0];
  const rectified = (key: string, x: Value) => builder.relu(`${name}.${key}`, x);
  const pass = () => {
    if (stride === 1) return builder.slice(`${name}.first`, input, 0, 0, half);
    const branch = `${name}.branch1`;
    const x = convNorm(builder, [branch, 0], input, { out: channels, kernel: 3, stride, groups: channels });
    return rectified("branch1.4", convNorm(builder, [branch, 2], x, { out: half, kernel: 1 }));
  };
  const first = pass();
  const rest = stride === 1 ? builder.slice(`${name}.second`, input, 0, half, channels) : input;
  const branch = `${name}.branch2`;
  let x = rectified("branch2.2", convNorm(builder, [branch, 0], rest, { out: half, kernel: 1 }));
  x = convNorm(builder, [branch, 3], x, { out: half, kernel: 3, stride, groups: half });
  x = rectified("branch2.7", convNorm(builder, [branch, 5], x, { out: half, kernel: 1 }));
  return shuffled(builder, name, [first, x]);
}

/** One of the family: its logits. */
export function shufflenetV2(size: keyof typeof CHANNELS): Architecture {
  return (builder, numClasses) => {
    const stem = convNorm(builder, ["conv1", 0], builder.images, { out: STEM, kernel: 3, stride: 2 });
    let x = builder.maxPool("maxpool", builder.relu("conv1.2", stem), { kernel: 3, stride: 2, padding: 1 });
    BLOCKS.forEach((blocks, stage) => {
      for (let i = 0; i < blocks; i++) {
        x = unit(builder, `stage${stage + 2}.${i}`, x, CHANNELS[size][stage], i === 0 ? 2 : 1);
      }
    });
    x = builder.relu("conv5.2", convNorm(builder, ["conv5", 0], x, { out: CHANNELS[size][3], kernel: 1 }));
    return pooledHead(builder, "fc", x, numClasses);
  };
}
