// deno-lint-ignore-file camelcase -- architectures have torchvision's names
/**
 * Residual networks (He et al., arXiv 1512.03385): torchvision's family and the CIFAR family, with torchvision's and
 * akamaster/pytorch_resnet_cifar10's key names and parameter order.
 *
 * @module
 */

import type { Graph } from "../graph/graph.ts";
import { add } from "../ops/add.ts";
import { batchNorm, type BatchNormOptions } from "../ops/batch_norm.ts";
import { padChannels } from "../ops/channels.ts";
import { conv2d } from "../ops/conv2d.ts";
import type { Tensor } from "../ops/operation.ts";
import { globalAveragePool, maxPool } from "../ops/pool.ts";
import { relu } from "../ops/relu.ts";

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

/** Builds layers under a name, as a checkpoint names them. */
class Layers {
  readonly #graph: Graph;

  readonly #norm: BatchNormOptions;

  constructor(graph: Graph, norm: BatchNormOptions) {
    this.#graph = graph;
    this.#norm = norm;
  }

  conv(name: string, input: Tensor, out: number, kernel: number, stride: number, groups = 1): Tensor {
    const shape = [out, input.shape[3] / groups, kernel, kernel];
    const weight = this.#graph.parameter("backbone", `${name}.weight`, "convolution", shape);
    return this.#graph.apply(conv2d(name, input, weight, { stride, padding: (kernel - 1) / 2, groups }));
  }

  norm(name: string, input: Tensor): Tensor {
    const shape = [input.shape[3]];
    const vector = (kind: "backbone" | "state", key: string) =>
      this.#graph.parameter(kind, `${name}.${key}`, "vector", shape);
    const tensors = {
      weight: vector("backbone", "weight"),
      bias: vector("backbone", "bias"),
      runningMean: vector("state", "running_mean"),
      runningVariance: vector("state", "running_var"),
    };
    return this.#graph.apply(batchNorm(name, input, tensors, this.#norm));
  }

  relu(name: string, input: Tensor): Tensor {
    return this.#graph.apply(relu(name, input));
  }

  add(name: string, a: Tensor, b: Tensor): Tensor {
    return this.#graph.apply(add(name, a, b));
  }

  /** The input in the shape of the block's output. Declared last, as PyTorch registers it last. */
  shortcut(name: string, config: ResnetConfig, input: Tensor, channels: number, stride: number): Tensor {
    const before = input.shape[3];
    if (stride === 1 && before === channels) return input;
    if (config.shortcut === "pad") {
      // (C_out - C_in) / 2 on both sides, which is C_out / 4 where a stage doubles the channels.
      const extra = channels - before, first = Math.floor(extra / 2);
      return this.#graph.apply(padChannels(`${name}.shortcut`, input, { before: first, after: extra - first, stride }));
    }
    const key = config.headName === "fc" ? "downsample" : "shortcut";
    return this.norm(`${name}.${key}.1`, this.conv(`${name}.${key}.0`, input, channels, 1, stride));
  }

  basicBlock(name: string, config: ResnetConfig, input: Tensor, planes: number, stride: number): Tensor {
    let x = this.conv(`${name}.conv1`, input, planes, 3, stride);
    x = this.relu(`${name}.relu1`, this.norm(`${name}.bn1`, x));
    x = this.norm(`${name}.bn2`, this.conv(`${name}.conv2`, x, planes, 3, 1));
    return this.relu(`${name}.relu2`, this.add(`${name}.add`, x, this.shortcut(name, config, input, planes, stride)));
  }

  bottleneck(name: string, config: ResnetConfig, input: Tensor, planes: number, stride: number): Tensor {
    const { groups = 1, widthPerGroup = 64 } = config;
    const width = Math.floor(planes * (widthPerGroup / 64)) * groups;
    let x = this.relu(`${name}.relu1`, this.norm(`${name}.bn1`, this.conv(`${name}.conv1`, input, width, 1, 1)));
    x = this.relu(`${name}.relu2`, this.norm(`${name}.bn2`, this.conv(`${name}.conv2`, x, width, 3, stride, groups)));
    x = this.norm(`${name}.bn3`, this.conv(`${name}.conv3`, x, planes * 4, 1, 1));
    return this.relu(
      `${name}.relu3`,
      this.add(`${name}.add`, x, this.shortcut(name, config, input, planes * 4, stride)),
    );
  }
}

/**
 * Appends a residual backbone to a graph.
 *
 * @param images [N, H, W, 3], normalised
 * @returns features [N, F]
 */
export function resnet(graph: Graph, config: ResnetConfig, images: Tensor, norm: BatchNormOptions = {}): Tensor {
  const layers = new Layers(graph, norm);
  const small = config.stem === "small";
  let x = layers.conv("conv1", images, config.planes[0], small ? 3 : 7, small ? 1 : 2);
  x = layers.relu("relu", layers.norm("bn1", x));
  if (!small) x = graph.apply(maxPool("maxpool", x, { kernel: 3, stride: 2, padding: 1 }));
  const block = config.block === "basic" ? layers.basicBlock.bind(layers) : layers.bottleneck.bind(layers);
  config.blocks.forEach((count, stage) => {
    for (let index = 0; index < count; index++) {
      const stride = stage > 0 && index === 0 ? 2 : 1;
      x = block(`layer${stage + 1}.${index}`, config, x, config.planes[stage], stride);
    }
  });
  return graph.apply(globalAveragePool("avgpool", x));
}
