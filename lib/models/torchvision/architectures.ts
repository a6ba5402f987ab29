// deno-lint-ignore-file camelcase -- architectures have torchvision's names
/**
 * torchvision's classifiers by name, apart from its residual networks. They are without dropout and stochastic depth.
 *
 * @module
 */

import { type OnnxNetwork, onnxNetwork } from "../../onnx/network.ts";
import { alexnet } from "./alexnet.ts";
import { type Architecture, NetworkBuilder } from "./builder.ts";
import type { Initial } from "../initial.ts";
import { convnext } from "./convnext.ts";
import { densenet } from "./densenet.ts";
import { efficientnet, EFFICIENTNETS } from "./efficientnet.ts";
import { googlenet } from "./googlenet.ts";
import { inceptionV3 } from "./inception_v3.ts";
import { mnasnet } from "./mnasnet.ts";
import { mobilenetV2 } from "./mobilenet_v2.ts";
import { mobilenetV3 } from "./mobilenet_v3.ts";
import { regnet, REGNETS } from "./regnet.ts";
import { shufflenetV2 } from "./shufflenet_v2.ts";
import { squeezenet } from "./squeezenet.ts";
import { swin } from "./swin.ts";
import { vgg } from "./vgg.ts";
import { visionTransformer } from "./vision_transformer.ts";

/** Names from a prefix and what follows it. */
function family<K extends string | number>(
  keys: readonly K[],
  nameOf: (key: K) => string,
  build: (key: K) => Architecture,
): Record<string, Architecture> {
  return Object.fromEntries(keys.map((key) => [nameOf(key), build(key)]));
}

/** The architectures by torchvision's names. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  alexnet,
  ...family([11, 13, 16, 19], (depth) => `vgg${depth}`, (depth) => vgg(depth, false)),
  ...family([11, 13, 16, 19], (depth) => `vgg${depth}_bn`, (depth) => vgg(depth, true)),
  ...family(["1_0", "1_1"] as const, (version) => `squeezenet${version}`, squeezenet),
  ...family([121, 161, 169, 201], (depth) => `densenet${depth}`, densenet),
  googlenet,
  inception_v3: inceptionV3,
  mobilenet_v2: mobilenetV2,
  ...family(["small", "large"] as const, (size) => `mobilenet_v3_${size}`, mobilenetV3),
  ...family(
    [0.5, 0.75, 1, 1.3],
    (width) => `mnasnet${Number.isInteger(width) ? "1_0" : `${width}`.replace(".", "_")}`,
    mnasnet,
  ),
  ...family(["x0_5", "x1_0", "x1_5", "x2_0"] as const, (size) => `shufflenet_v2_${size}`, shufflenetV2),
  ...family(REGNETS, (size) => `regnet_${size}`, regnet),
  ...family(EFFICIENTNETS, (size) => `efficientnet_${size}`, efficientnet),
  ...family(["tiny", "small", "base", "large"] as const, (size) => `convnext_${size}`, convnext),
  ...family(["b_16", "b_32", "l_16", "l_32", "h_14"] as const, (size) => `vit_${size}`, visionTransformer),
  ...family(["t", "s", "b"] as const, (size) => `swin_${size}`, swin),
};

/** Whether a name is one of {@linkcode ARCHITECTURES}. */
export function isArchitecture(name: string): boolean {
  return Object.hasOwn(ARCHITECTURES, name);
}

/** A network by its name, and what its fresh weights are drawn from. */
export interface NamedNetwork {
  /** Its weights are stand-ins: only their names and shapes count. */
  readonly network: OnnxNetwork;
  /** By name. */
  readonly initial: ReadonlyMap<string, Initial>;
}

/** For what images and how many classes a network is. */
export interface NetworkSize {
  /** Rows of an image, in pixels. */
  readonly height: number;
  /** Columns of an image, in pixels. */
  readonly width: number;
  /** Outputs of the head. */
  readonly numClasses: number;
}

/**
 * The network of a name of {@linkcode ARCHITECTURES}.
 *
 * @throws UsageError where the images are too small for it, or none that it is made for
 */
export function namedNetwork(name: string, { height, width, numClasses }: NetworkSize): NamedNetwork {
  const builder = new NetworkBuilder(height, width);
  const model = builder.model(name, ARCHITECTURES[name](builder, numClasses));
  return { network: onnxNetwork(model), initial: builder.initial };
}
