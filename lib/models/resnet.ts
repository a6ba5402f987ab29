// deno-lint-ignore-file camelcase -- architectures have torchvision's names
/**
 * Residual networks (He et al., arXiv 1512.03385): torchvision's family and the CIFAR family, with torchvision's and
 * akamaster/pytorch_resnet_cifar10's key names and parameter order.
 *
 * @module
 */

import type { Layers } from "./layers.ts";

/** How a block's input reaches its output where the shape changes. */
export type Shortcut = "pad" | "projection";

/** One architecture. */
export interface ResnetConfig {
  /** Blocks of each stage. */
  readonly blocks: readonly number[];
  /** Channels of each stage before expansion. */
  readonly planes: readonly number[];
  /** Two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the channels. */
  readonly block: "basic" | "bottleneck";
  /** 7x7 stride 2 and max pooling, or 3x3 stride 1. */
  readonly stem: "imagenet" | "small";
  /** How a stage's first block matches its input to the new shape. */
  readonly shortcut: Shortcut;
  /** Groups of the 3x3 convolution of a bottleneck. */
  readonly groups?: number;
  /** Channels per group at 64 planes; 64 unless wide or grouped. */
  readonly widthPerGroup?: number;
  /** Name of the head in published checkpoints. */
  readonly headName: "fc" | "linear";
}

const IMAGENET = { planes: [64, 128, 256, 512], stem: "imagenet", shortcut: "projection", headName: "fc" } as const;
const CIFAR = { planes: [16, 32, 64], block: "basic", stem: "small", shortcut: "pad", headName: "linear" } as const;

/**
 * The architectures by name. CIFAR networks have parameter-free shortcuts; `_projection` names have 1x1 convolutions.
 */
export const RESNETS: Readonly<Record<string, ResnetConfig>> = {
  resnet18: { ...IMAGENET, block: "basic", blocks: [2, 2, 2, 2] },
  resnet34: { ...IMAGENET, block: "basic", blocks: [3, 4, 6, 3] },
  resnet50: { ...IMAGENET, block: "bottleneck", blocks: [3, 4, 6, 3] },
  resnet101: { ...IMAGENET, block: "bottleneck", blocks: [3, 4, 23, 3] },
  resnet152: { ...IMAGENET, block: "bottleneck", blocks: [3, 8, 36, 3] },
  wide_resnet50_2: { ...IMAGENET, block: "bottleneck", blocks: [3, 4, 6, 3], widthPerGroup: 128 },
  wide_resnet101_2: { ...IMAGENET, block: "bottleneck", blocks: [3, 4, 23, 3], widthPerGroup: 128 },
  resnext50_32x4d: { ...IMAGENET, block: "bottleneck", blocks: [3, 4, 6, 3], groups: 32, widthPerGroup: 4 },
  resnext101_32x8d: { ...IMAGENET, block: "bottleneck", blocks: [3, 4, 23, 3], groups: 32, widthPerGroup: 8 },
  resnet8_narrow: { ...CIFAR, planes: [8, 16, 32], blocks: [1, 1, 1] },
  ...Object.fromEntries(
    [8, 20, 32, 44, 56, 110].flatMap((depth): [string, ResnetConfig][] => {
      const blocks = [1, 1, 1].map(() => (depth - 2) / 6);
      return [
        [`resnet${depth}`, { ...CIFAR, blocks }],
        [`resnet${depth}_projection`, { ...CIFAR, blocks, shortcut: "projection" }],
      ];
    }),
  ),
};

/** The parts of one residual network. */
class Residual<T> {
  readonly #layers: Layers<T>;
  readonly #config: ResnetConfig;

  constructor(layers: Layers<T>, config: ResnetConfig) {
    this.#layers = layers;
    this.#config = config;
  }

  conv(name: string, input: T, out: number, kernel: number, stride: number, groups = 1): T {
    return this.#layers.conv(name, input, { out, kernel, stride, groups });
  }

  convNorm(name: string, index: number, input: T, out: number, kernel: number, stride: number, groups = 1): T {
    const x = this.conv(`${name}.conv${index}`, input, out, kernel, stride, groups);
    return this.#layers.batchNorm(`${name}.bn${index}`, x);
  }

  /** The input in the shape of the block's output. Declared last, as PyTorch registers it last. */
  shortcut(name: string, input: T, channels: number, stride: number): T {
    const before = this.#layers.channelsOf(input);
    if (stride === 1 && before === channels) return input;
    if (this.#config.shortcut === "pad") {
      // (C_out - C_in) / 2 on both sides, which is C_out / 4 where a stage doubles the channels.
      const extra = channels - before, first = Math.floor(extra / 2);
      return this.#layers.padChannels(`${name}.shortcut`, input, { before: first, after: extra - first, stride });
    }
    const key = this.#config.headName === "fc" ? "downsample" : "shortcut";
    return this.#layers.batchNorm(`${name}.${key}.1`, this.conv(`${name}.${key}.0`, input, channels, 1, stride));
  }

  /** The sum of a branch and the shortcut, rectified. */
  join(name: string, branch: T, input: T, stride: number, last: number): T {
    const shortcut = this.shortcut(name, input, this.#layers.channelsOf(branch), stride);
    return this.#layers.relu(`${name}.relu${last}`, this.#layers.add(`${name}.add`, branch, shortcut));
  }

  basicBlock(name: string, input: T, planes: number, stride: number): T {
    const x = this.#layers.relu(`${name}.relu1`, this.convNorm(name, 1, input, planes, 3, stride));
    return this.join(name, this.convNorm(name, 2, x, planes, 3, 1), input, stride, 2);
  }

  bottleneck(name: string, input: T, planes: number, stride: number): T {
    const { groups = 1, widthPerGroup = 64 } = this.#config;
    const width = Math.floor(planes * (widthPerGroup / 64)) * groups;
    let x = this.#layers.relu(`${name}.relu1`, this.convNorm(name, 1, input, width, 1, 1));
    x = this.#layers.relu(`${name}.relu2`, this.convNorm(name, 2, x, width, 3, stride, groups));
    return this.join(name, this.convNorm(name, 3, x, planes * 4, 1, 1), input, stride, 3);
  }

  stem(images: T): T {
    const small = this.#config.stem === "small";
    const x = this.conv("conv1", images, this.#config.planes[0], small ? 3 : 7, small ? 1 : 2);
    const rectified = this.#layers.relu("relu", this.#layers.batchNorm("bn1", x));
    return small ? rectified : this.#layers.maxPool("maxpool", rectified, { kernel: 3, stride: 2, padding: 1 });
  }

  features(images: T): T {
    const { blocks, planes, block } = this.#config;
    let x = this.stem(images);
    blocks.forEach((count, stage) => {
      for (let index = 0; index < count; index++) {
        const name = `layer${stage + 1}.${index}`, stride = stage > 0 && index === 0 ? 2 : 1;
        x = block === "basic"
          ? this.basicBlock(name, x, planes[stage], stride)
          : this.bottleneck(name, x, planes[stage], stride);
      }
    });
    return this.#layers.globalAveragePool("avgpool", x);
  }
}

/**
 * A residual backbone of the layers given.
 *
 * @param images normalised; on a graph [N, H, W, 3]
 * @returns features; on a graph [N, F]
 */
export function residualFeatures<T>(layers: Layers<T>, config: ResnetConfig, images: T): T {
  return new Residual(layers, config).features(images);
}

/** Features and a linear head of `numClasses` outputs: see {@linkcode residualFeatures}. */
export function residualLogits<T>(layers: Layers<T>, config: ResnetConfig, images: T, numClasses: number): T {
  return layers.linear(config.headName, residualFeatures(layers, config, images), numClasses);
}
