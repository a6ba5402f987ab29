/**
 * Which network a classifier is: a residual one, which has layers of its own, or a graph of ONNX operators, built in or
 * imported.
 *
 * @module
 */

import { UsageError } from "../errors.ts";
import type { OnnxNetwork } from "../onnx/network.ts";
import type { Initial } from "./initial.ts";
import { type ResnetConfig, RESNETS } from "./resnet.ts";
import { ARCHITECTURES, isArchitecture, namedNetwork } from "./torchvision/architectures.ts";

/** What a classifier is, whatever the batch. */
export interface ClassifierConfig {
  /** A name of {@linkcode ENCODERS}; of an imported network only a label. */
  readonly encoder: string;
  /** The network of an ONNX file, in place of the encoder's. */
  readonly network?: OnnxNetwork;
  /** Outputs of the head. */
  readonly numClasses: number;
  /** Rows of an image, in pixels. */
  readonly height: number;
  /** Columns of an image, in pixels. */
  readonly width: number;
  /** 3x3 stride-1 stem without max pooling, for small images; of residual networks only. */
  readonly smallStem?: boolean;
}

/** The encoders by name. */
export const ENCODERS: readonly string[] = [...Object.keys(RESNETS), ...Object.keys(ARCHITECTURES)];

/** Whether a name is one of a residual network. */
export function isResidual(encoder: string): boolean {
  return Object.hasOwn(RESNETS, encoder);
}

/**
 * The architecture of a residual network.
 *
 * @throws UsageError where the encoder is none, which lists them
 */
export function residualConfig({ encoder, smallStem }: Pick<ClassifierConfig, "encoder" | "smallStem">): ResnetConfig {
  if (!isResidual(encoder)) {
    throw new UsageError(`Cannot build encoder ${encoder}: the known ones are ${ENCODERS.join(", ")}`);
  }
  return smallStem ? { ...RESNETS[encoder], stem: "small" } : RESNETS[encoder];
}

/** The imported network of a classifier, or that of a name that is no residual network's. */
export function onnxNetworkOf(config: ClassifierConfig): OnnxNetwork | undefined {
  if (config.network !== undefined) return config.network;
  if (!isArchitecture(config.encoder)) return undefined;
  if (config.smallStem) throw new UsageError(`Cannot give ${config.encoder} a small stem: residual networks have one`);
  return namedNetwork(config.encoder, config).network;
}

/** From what a classifier's fresh tensors are drawn, by name, where its architecture states it. */
export function initialOf(config: ClassifierConfig): ReadonlyMap<string, Initial> {
  const isNamed = config.network === undefined && isArchitecture(config.encoder);
  return isNamed ? namedNetwork(config.encoder, config).initial : new Map();
}
