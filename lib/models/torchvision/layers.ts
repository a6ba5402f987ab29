/**
 * Layers that several of torchvision's families are made of.
 *
 * @module
 */

import type { ConvolutionLayer, NetworkBuilder, NormLayer, Value } from "./builder.ts";
import { byInputs } from "../initial.ts";

/** A function of each element, by the builder's name of it. */
export type Activation = "relu" | "relu6" | "hardSwish" | "silu" | "sigmoid" | "hardSigmoid";

/** A convolution padded by half of its kernel, a normalisation, and an activation if one is given. */
export interface ConvNormLayer extends Omit<ConvolutionLayer, "padding" | "bias"> {
  readonly kernel: number;
  readonly norm?: NormLayer;
  readonly activation?: Activation;
}

/** torchvision's `Conv2dNormActivation`: `NAME.0` and `NAME.1`. */
export function convNorm(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  { norm, activation, ...convolution }: ConvNormLayer,
): Value {
  const padding = (convolution.kernel - 1) / 2;
  const x = builder.batchNorm(`${name}.1`, builder.conv(`${name}.0`, input, { ...convolution, padding }), norm);
  return activation === undefined ? x : builder[activation](`${name}.2`, x);
}

/** Squeeze and excitation (Hu et al., arXiv 1709.01507): channels scaled by a function of their averages. */
export function squeezeExcitation(
  builder: NetworkBuilder,
  name: string,
  input: Value,
  { squeezed, activation, gate }: {
    readonly squeezed: number;
    readonly activation: Activation;
    readonly gate: Activation;
  },
): Value {
  const conv = (key: string, value: Value, out: number) =>
    builder.conv(`${name}.${key}`, value, { out, kernel: 1, bias: true });
  const averages = builder.globalAveragePool(`${name}.avgpool`, input);
  const inner = builder[activation](`${name}.activation`, conv("fc1", averages, squeezed));
  const scale = builder[gate](`${name}.scale`, conv("fc2", inner, input.shape[0]));
  return builder.mul(`${name}.scaled`, input, scale);
}

/** Averages of channels, and the last linear layer over them. */
export function pooledHead(builder: NetworkBuilder, name: string, input: Value, numClasses: number): Value {
  const features = builder.flatten("flatten", builder.globalAveragePool("avgpool", input));
  return builder.head(name, features, numClasses);
}

/** The nearest multiple of `divisor` to a number of channels, or the next where that is less than nine tenths of it. */
export function makeDivisible(channels: number, divisor = 8): number {
  const rounded = Math.max(divisor, Math.floor((channels + divisor / 2) / divisor) * divisor);
  return rounded < 0.9 * channels ? rounded + divisor : rounded;
}

/** PyTorch's default of a convolution's weight and of its bias: uniform by inputs. */
export function defaultConvolution(
  input: Value,
  kernel: number,
  groups = 1,
): Pick<ConvolutionLayer, "initial" | "initialBias"> {
  const initial = byInputs(input.shape[0] / groups * kernel ** 2);
  return { initial, initialBias: initial };
}
