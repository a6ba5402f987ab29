/**
 * Reference of the transposed 2-D convolution (`torch.nn.functional.conv_transpose2d`): every input is spread over the
 * outputs that its kernel reaches.
 *
 * @module
 */

import { forEachIndex, positionOf } from "./indices.ts";
import { type Tensor, tensor } from "./tensor.ts";
import type { Twin } from "./twin.ts";

interface Config {
  readonly stride: number;
  readonly padding: number;
  readonly outputPadding: number;
  readonly dilation: number;
  readonly groups: number;
}

/** Size of the output along an axis. */
function size(positions: number, kernel: number, { stride, padding, outputPadding, dilation }: Config): number {
  return (positions - 1) * stride - 2 * padding + dilation * (kernel - 1) + outputPadding + 1;
}

function outputShape(input: Tensor, weight: Tensor, config: Config): number[] {
  const [n, h, w] = input.shape, [, cout, kh, kw] = weight.shape;
  return [n, size(h, kh, config), size(w, kw, config), cout * config.groups];
}

/** Visits every product of an input and a weight with the output that it is part of. */
function forEachTerm(
  input: Tensor,
  weight: Tensor,
  config: Config,
  visit: (output: number, input: number, weight: number) => void,
): void {
  const shape = outputShape(input, weight, config), [, height, width] = shape;
  const [, cout, kh, kw] = weight.shape, perGroup = input.shape[3] / config.groups;
  forEachIndex([...input.shape, cout, kh, kw], ([image, h, w, channel, o, i, j]) => {
    const row = h * config.stride - config.padding + i * config.dilation;
    const column = w * config.stride - config.padding + j * config.dilation;
    if (row < 0 || row >= height || column < 0 || column >= width) return;
    visit(
      positionOf(shape, [image, row, column, Math.floor(channel / perGroup) * cout + o]),
      positionOf(input.shape, [image, h, w, channel]),
      positionOf(weight.shape, [channel, o, i, j]),
    );
  });
}

/** Operands `input` [N, H, W, CIN], `weight` [CIN, COUT / groups, KH, KW] and, where given, `bias` [COUT]. */
export const convTranspose2d: Twin = {
  forward({ input, weight, bias }, config) {
    const output = tensor(outputShape(input, weight, config)), channels = output.shape[3];
    output.data.forEach((_, i) => output.data[i] = bias?.data[i % channels] ?? 0);
    forEachTerm(input, weight, config, (o, i, w) => output.data[o] += input.data[i] * weight.data[w]);
    return output;
  },
  backward(dOutput, { input, weight, bias }, config) {
    const dInput = tensor(input.shape), dWeight = tensor(weight.shape), dBias = tensor([dOutput.shape[3]]);
    forEachTerm(input, weight, config, (o, i, w) => {
      dInput.data[i] += dOutput.data[o] * weight.data[w];
      dWeight.data[w] += dOutput.data[o] * input.data[i];
    });
    dOutput.data.forEach((d, i) => dBias.data[i % dBias.data.length] += d);
    return { input: dInput, weight: dWeight, ...(bias && { bias: dBias }) };
  },
};
