/**
 * EfficientNet (Tan and Le, arXiv 1905.11946) and EfficientNetV2 (arXiv 2104.00298).
 *
 * @module
 */

import type { Architecture, NetworkBuilder, NormLayer, Value } from "./builder.ts";
import { convNorm, makeDivisible, pooledHead, squeezeExcitation } from "./layers.ts";

/** Blocks of a stage; `fused` ones have one convolution in place of a wide and a depthwise one. */
interface Stage {
  readonly fused: boolean;
  /** Channels within a block, in those of its input. */
  readonly expansion: number;
  readonly kernel: number;
  /** Of the first block. */
  readonly stride: number;
  readonly out: number;
  readonly blocks: number;
}

interface EfficientnetConfig {
  readonly stem: number;
  readonly stages: readonly Stage[];
  /** Channels of the last convolution. */
  readonly last: number;
  readonly norm: NormLayer;
}

const stage = (
  fused: boolean,
  [expansion, kernel, stride, out, blocks]: readonly [number, number, number, number, number],
): Stage => ({ fused, expansion, kernel, stride, out, blocks });

const B0 = ([
  [1, 3, 1, 16, 1],
  [6, 3, 2, 24, 2],
  [6, 5, 2, 40, 2],
  [6, 3, 2, 80, 3],
  [6, 5, 1, 112, 3],
  [6, 5, 2, 192, 4],
  [6, 3, 1, 320, 1],
] as const).map((numbers) => stage(false, numbers));
/** Multipliers of channels and of blocks. */
const SCALES = [[1, 1], [1, 1.1], [1.1, 1.2], [1.2, 1.4], [1.4, 1.8], [1.6, 2.2], [1.8, 2.6], [2, 3.1]] as const;
const STEM = 32, LAST = 4;
/** Channels of a block's input over those that squeezing leaves. */
const SQUEEZE = 4;

function scaledConfig([width, depth]: readonly [number, number], index: number): EfficientnetConfig {
  const channels = (n: number) => makeDivisible(n * width);
  const stages = B0.map((each) => ({ ...each, out: channels(each.out), blocks: Math.ceil(each.blocks * depth) }));
  const norm = index < 5 ? {} : { eps: 1e-3, momentum: 0.01 };
  return { stem: channels(STEM), stages, last: LAST * stages.at(-1)!.out, norm };
}

/** EfficientNetV2's stages: the first three are fused. */
function secondConfig(stages: readonly (readonly [number, number, number, number, number])[]): EfficientnetConfig {
  const all = stages.map((numbers, i) => stage(i < 3, numbers));
  return { stem: all[0].out, stages: all, last: 1280, norm: { eps: 1e-3 } };
}

const CONFIGS = {
  ...Object.fromEntries(SCALES.map((scale, i) => [`b${i}`, scaledConfig(scale, i)])),
  v2_s: secondConfig([
    [1, 3, 1, 24, 2],
    [4, 3, 2, 48, 4],
    [4, 3, 2, 64, 4],
    [4, 3, 2, 128, 6],
    [6, 3, 1, 160, 9],
    [6, 3, 2, 256, 15],
  ]),
  v2_m: secondConfig([
    [1, 3, 1, 24, 3],
    [4, 3, 2, 48, 5],
    [4, 3, 2, 80, 5],
    [4, 3, 2, 160, 7],
    [6, 3, 1, 176, 14],
    [6, 3, 2, 304, 18],
    [6, 3, 1, 512, 5],
  ]),
  v2_l: secondConfig([
    [1, 3, 1, 32, 4],
    [4, 3, 2, 64, 7],
    [4, 3, 2, 96, 7],
    [4, 3, 2, 192, 10],
    [6, 3, 1, 224, 19],
    [6, 3, 2, 384, 25],
    [6, 3, 1, 640, 7],
  ]),
} as Readonly<Record<string, EfficientnetConfig>>;

/** Names of the published ones. */
export const EFFICIENTNETS: readonly string[] = Object.keys(CONFIGS);

type Block = Omit<Stage, "blocks"> & { readonly norm: NormLayer };

/** A wide convolution, a depthwise one, channels scaled, and a narrow one: `MBConv`. */
function separable(builder: NetworkBuilder, name: string, input: Value, block: Block): Value {
  const { expansion, kernel, stride, out, norm } = block, channels = input.shape[0];
  const wide = makeDivisible(channels * expansion);
  let x = input, index = 0;
  const next = () => `${name}.block.${index++}`;
  if (wide !== channels) x = convNorm(builder, next(), x, { out: wide, kernel: 1, norm, activation: "silu" });
  x = convNorm(builder, next(), x, { out: wide, kernel, stride, groups: wide, norm, activation: "silu" });
  const squeezed = Math.max(1, Math.floor(channels / SQUEEZE));
  x = squeezeExcitation(builder, next(), x, { squeezed, activation: "silu", gate: "sigmoid" });
  return convNorm(builder, next(), x, { out, kernel: 1, norm });
}

/** A wide convolution and a narrow one, or one alone: `FusedMBConv`. */
function fused(builder: NetworkBuilder, name: string, input: Value, block: Block): Value {
  const { expansion, kernel, stride, out, norm } = block, channels = input.shape[0];
  const wide = makeDivisible(channels * expansion), first = `${name}.block.0`;
  if (wide === channels) return convNorm(builder, first, input, { out, kernel, stride, norm, activation: "silu" });
  const x = convNorm(builder, first, input, { out: wide, kernel, stride, norm, activation: "silu" });
  return convNorm(builder, `${name}.block.1`, x, { out, kernel: 1, norm });
}

function residual(builder: NetworkBuilder, name: string, input: Value, block: Block): Value {
  const x = (block.fused ? fused : separable)(builder, name, input, block);
  return block.stride === 1 && input.shape[0] === block.out ? builder.add(`${name}.add`, x, input) : x;
}

/** One of the family: its logits. */
export function efficientnet(size: string): Architecture {
  const { stem, stages, last, norm } = CONFIGS[size];
  return (builder, numClasses) => {
    let x = convNorm(builder, "features.0", builder.images, {
      out: stem,
      kernel: 3,
      stride: 2,
      norm,
      activation: "silu",
    });
    stages.forEach(({ blocks, stride, ...each }, i) => {
      for (let j = 0; j < blocks; j++) {
        const block = { ...each, stride: j === 0 ? stride : 1, norm };
        x = residual(builder, `features.${i + 1}.${j}`, x, block);
      }
    });
    x = convNorm(builder, `features.${stages.length + 1}`, x, { out: last, kernel: 1, norm, activation: "silu" });
    return pooledHead(builder, "classifier.1", x, numClasses);
  };
}
