/**
 * Reference of resized images (`torch.nn.functional.interpolate`): every element of the output states what it is made of.
 *
 * @module
 */

import { forEachIndex, positionOf } from "./indices.ts";
import { type Tensor, tensor } from "./tensor.ts";
import type { Twin } from "./twin.ts";

type Tap = readonly [index: number, weight: number];

interface Config {
  readonly height: number;
  readonly width: number;
  readonly mode: "nearest" | "linear" | "cubic";
  readonly coordinates: "halfPixel" | "pytorchHalfPixel" | "alignCorners" | "asymmetric";
  readonly rounding?: "floor" | "ceil" | "roundPreferFloor" | "roundPreferCeil";
}

function place(at: number, from: number, to: number, coordinates: Config["coordinates"]): number {
  if (coordinates === "alignCorners") return to === 1 ? 0 : at * (from - 1) / (to - 1);
  if (coordinates === "asymmetric") return at * from / to;
  return coordinates === "pytorchHalfPixel" && to === 1 ? 0 : (at + 0.5) * from / to - 0.5;
}

/** Weight of a neighbour at a distance: a box, a triangle, or cubic convolution with the coefficient -3/4. */
function kernel(distance: number, mode: Config["mode"]): number {
  const x = Math.abs(distance);
  if (mode === "linear") return Math.max(0, 1 - x);
  if (x < 1) return 1.25 * x ** 3 - 2.25 * x ** 2 + 1;
  return x < 2 ? -0.75 * (x ** 3 - 5 * x ** 2 + 8 * x - 4) : 0;
}

function nearest(x: number, rounding: Config["rounding"]): number {
  if (rounding === "floor") return Math.floor(x);
  if (rounding === "ceil") return Math.ceil(x);
  return rounding === "roundPreferCeil" ? Math.floor(x + 0.5) : -Math.floor(0.5 - x);
}

/** Elements before the first are the first, those behind the last the last. */
function taps(at: number, from: number, to: number, { mode, coordinates, rounding }: Config): Tap[] {
  const x = place(at, from, to, coordinates);
  const clamp = (i: number) => Math.max(0, Math.min(from - 1, i));
  if (mode === "nearest") return [[clamp(nearest(x, rounding)), 1]];
  const neighbours: Tap[] = [];
  for (let i = Math.floor(x) - 1; i <= Math.floor(x) + 2; i++) neighbours.push([clamp(i), kernel(x - i, mode)]);
  return neighbours;
}

function forEachTerm(input: Tensor, config: Config, visit: (output: number, input: number, weight: number) => void) {
  const [n, h, w, c] = input.shape;
  forEachIndex([n, config.height, config.width, c], ([image, row, column, channel], output) => {
    for (const [i, rowWeight] of taps(row, h, config.height, config)) {
      for (const [j, columnWeight] of taps(column, w, config.width, config)) {
        visit(output, positionOf(input.shape, [image, i, j, channel]), rowWeight * columnWeight);
      }
    }
  });
}

/** `input` [N, H, W, C] to `config.height` x `config.width`. */
export const resize: Twin = {
  forward({ input }, config) {
    const output = tensor([input.shape[0], config.height, config.width, input.shape[3]]);
    forEachTerm(input, config, (o, i, weight) => output.data[o] += weight * input.data[i]);
    return output;
  },
  backward(dOutput, { input }, config) {
    const dInput = tensor(input.shape);
    forEachTerm(input, config, (o, i, weight) => dInput.data[i] += weight * dOutput.data[o]);
    return { input: dInput };
  },
};
