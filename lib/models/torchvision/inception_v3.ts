/**
 * Inception v3 (Szegedy et al., arXiv 1512.00567) without its auxiliary classifier.
 *
 * @module
 */

import { NORMALISATIONS } from "../../data/normalisation.ts";
import type { Pair } from "../../onnx/export/operators.ts";
import type { NetworkBuilder, Value } from "./builder.ts";
import { normal } from "../initial.ts";
import { pooledHead } from "./layers.ts";

/** Mean and deviation of each channel by which the published weights' images were normalised. */
const OWN = 0.5;

/**
 * Images normalised to a mean and a deviation of 0.5, as the published weights of this network and of GoogLeNet were
 * trained, from images normalised as ImageNet's are. torchvision's `transform_input`.
 */
export function forInceptionScale(builder: NetworkBuilder): Value {
  const { mean, std } = NORMALISATIONS.imagenet;
  const factors = std.map((deviation) => deviation / OWN);
  const terms = mean.map((value) => (value - OWN) / OWN);
  return builder.channelsScaled("transform_input", builder.images, factors, terms);
}

interface Layer {
  readonly out: number;
  readonly kernel: Pair;
  readonly stride?: number;
  readonly padding?: Pair;
}

const NARROW = (out: number): Layer => ({ out, kernel: 1 });
const SQUARE = (out: number, kernel: number): Layer => ({ out, kernel, padding: (kernel - 1) / 2 });
const ROW = (out: number, kernel: number): Layer => ({ out, kernel: [1, kernel], padding: [0, (kernel - 1) / 2] });
const COLUMN = (out: number, kernel: number): Layer => ({ out, kernel: [kernel, 1], padding: [(kernel - 1) / 2, 0] });
const HALVING = (out: number): Layer => ({ out, kernel: 3, stride: 2 });

/** One convolution after another, by name. */
type Branch = readonly (readonly [name: string, layer: Layer])[];

/** The parts of one network. */
class Inception {
  constructor(readonly builder: NetworkBuilder) {}

  conv(name: string, input: Value, layer: Layer): Value {
    const x = this.builder.conv(`${name}.conv`, input, { ...layer, initial: normal(0.1) });
    return this.builder.relu(`${name}.relu`, this.builder.batchNorm(`${name}.bn`, x, { eps: 1e-3 }));
  }

  branch(module: string, input: Value, layers: Branch): Value {
    return layers.reduce((x, [name, layer]) => this.conv(`${module}.${name}`, x, layer), input);
  }

  /** Averages of 3 x 3 pixels and a convolution. */
  pooled(module: string, input: Value, out: number): Value {
    const x = this.builder.averagePool(`${module}.pool`, input, { kernel: 3, padding: 1 });
    return this.conv(`${module}.branch_pool`, x, NARROW(out));
  }

  halved(module: string, input: Value): Value {
    return this.builder.maxPool(`${module}.pool`, input, { kernel: 3, stride: 2 });
  }

  /** Branches with squares of 5 and 3: torchvision's `InceptionA`. */
  squares(name: string, input: Value, pooled: number): Value {
    return this.builder.concat(name, [
      this.branch(name, input, [["branch1x1", NARROW(64)]]),
      this.branch(name, input, [["branch5x5_1", NARROW(48)], ["branch5x5_2", SQUARE(64, 5)]]),
      this.branch(name, input, [
        ["branch3x3dbl_1", NARROW(64)],
        ["branch3x3dbl_2", SQUARE(96, 3)],
        ["branch3x3dbl_3", SQUARE(96, 3)],
      ]),
      this.pooled(name, input, pooled),
    ]);
  }

  /** The first that halves the image: `InceptionB`. */
  firstHalving(name: string, input: Value): Value {
    return this.builder.concat(name, [
      this.branch(name, input, [["branch3x3", HALVING(384)]]),
      this.branch(name, input, [
        ["branch3x3dbl_1", NARROW(64)],
        ["branch3x3dbl_2", SQUARE(96, 3)],
        ["branch3x3dbl_3", HALVING(96)],
      ]),
      this.halved(name, input),
    ]);
  }

  /** Branches with rows and columns of 7: `InceptionC`. */
  sevens(name: string, input: Value, within: number): Value {
    return this.builder.concat(name, [
      this.branch(name, input, [["branch1x1", NARROW(192)]]),
      this.branch(name, input, [
        ["branch7x7_1", NARROW(within)],
        ["branch7x7_2", ROW(within, 7)],
        ["branch7x7_3", COLUMN(192, 7)],
      ]),
      this.branch(name, input, [
        ["branch7x7dbl_1", NARROW(within)],
        ["branch7x7dbl_2", COLUMN(within, 7)],
        ["branch7x7dbl_3", ROW(within, 7)],
        ["branch7x7dbl_4", COLUMN(within, 7)],
        ["branch7x7dbl_5", ROW(192, 7)],
      ]),
      this.pooled(name, input, 192),
    ]);
  }

  /** The second that halves the image: `InceptionD`. */
  secondHalving(name: string, input: Value): Value {
    return this.builder.concat(name, [
      this.branch(name, input, [["branch3x3_1", NARROW(192)], ["branch3x3_2", HALVING(320)]]),
      this.branch(name, input, [
        ["branch7x7x3_1", NARROW(192)],
        ["branch7x7x3_2", ROW(192, 7)],
        ["branch7x7x3_3", COLUMN(192, 7)],
        ["branch7x7x3_4", HALVING(192)],
      ]),
      this.halved(name, input),
    ]);
  }

  /** A row and a column of 3 side by side. */
  fork(module: string, name: string, input: Value): Value {
    return this.builder.concat(`${module}.${name}`, [
      this.conv(`${module}.${name}a`, input, ROW(384, 3)),
      this.conv(`${module}.${name}b`, input, COLUMN(384, 3)),
    ]);
  }

  /** Branches that fork: `InceptionE`. */
  forks(name: string, input: Value): Value {
    const doubled: Branch = [["branch3x3dbl_1", NARROW(448)], ["branch3x3dbl_2", SQUARE(384, 3)]];
    return this.builder.concat(name, [
      this.branch(name, input, [["branch1x1", NARROW(320)]]),
      this.fork(name, "branch3x3_2", this.branch(name, input, [["branch3x3_1", NARROW(384)]])),
      this.fork(name, "branch3x3dbl_3", this.branch(name, input, doubled)),
      this.pooled(name, input, 192),
    ]);
  }
}

/** The network's logits. */
export function inceptionV3(builder: NetworkBuilder, numClasses: number): Value {
  const parts = new Inception(builder);
  let x = parts.conv("Conv2d_1a_3x3", forInceptionScale(builder), HALVING(32));
  x = parts.conv("Conv2d_2a_3x3", x, { out: 32, kernel: 3 });
  x = builder.maxPool("maxpool1", parts.conv("Conv2d_2b_3x3", x, SQUARE(64, 3)), { kernel: 3, stride: 2 });
  x = parts.conv("Conv2d_4a_3x3", parts.conv("Conv2d_3b_1x1", x, NARROW(80)), { out: 192, kernel: 3 });
  x = builder.maxPool("maxpool2", x, { kernel: 3, stride: 2 });
  const pooled = { b: 32, c: 64, d: 64 }, within = { b: 128, c: 160, d: 160, e: 192 };
  for (const [key, out] of Object.entries(pooled)) x = parts.squares(`Mixed_5${key}`, x, out);
  x = parts.firstHalving("Mixed_6a", x);
  for (const [key, channels] of Object.entries(within)) x = parts.sevens(`Mixed_6${key}`, x, channels);
  x = parts.secondHalving("Mixed_7a", x);
  for (const key of ["b", "c"]) x = parts.forks(`Mixed_7${key}`, x);
  return pooledHead(builder, "fc", x, numClasses);
}
