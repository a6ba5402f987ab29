/**
 * Which elements of an axis a resized axis is made of, and with what weights, as ONNX's `Resize` defines it.
 *
 * @module
 */

import { requireSize } from "./operation.ts";

/** Place on the input axis of the centre of an output element. */
export type ResizeCoordinates = "halfPixel" | "pytorchHalfPixel" | "alignCorners" | "asymmetric";
/** How a place between two elements is rounded. */
export type NearestRounding = "roundPreferFloor" | "roundPreferCeil" | "floor" | "ceil";

/** How one axis is resized. */
export interface AxisResize {
  /** Elements of the input. */
  readonly from: number;
  /** Elements of the output. */
  readonly to: number;
  /** Output elements per input element; `to / from` unless a file states another. */
  readonly scale?: number;
  readonly mode: "nearest" | "linear" | "cubic";
  readonly coordinates: ResizeCoordinates;
  /** Of `nearest`; default `roundPreferFloor`. */
  readonly rounding?: NearestRounding;
  /** Of `cubic`; default -0.75, as PyTorch's. */
  readonly cubicCoefficient?: number;
}

/** An element of the input and its weight. */
export type Tap = readonly [index: number, weight: number];

function placeOf(output: number, { from, to, scale, coordinates }: AxisResize): number {
  const over = (x: number) => scale === undefined ? x * from / to : x / scale;
  switch (coordinates) {
    case "halfPixel":
      return over(output + 0.5) - 0.5;
    case "pytorchHalfPixel":
      return to > 1 ? over(output + 0.5) - 0.5 : 0;
    case "alignCorners":
      return to > 1 ? output * (from - 1) / (to - 1) : 0;
    case "asymmetric":
      return over(output);
  }
}

const ROUNDINGS: Readonly<Record<NearestRounding, (x: number) => number>> = {
  roundPreferFloor: (x) => Math.ceil(x - 0.5),
  roundPreferCeil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Keys' cubic convolution (IEEE Transactions on Acoustics, Speech, and Signal Processing 29, 1981), at a distance. */
function cubic(distance: number, a: number): number {
  const x = Math.abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

function unclampedTaps(place: number, { mode, rounding, cubicCoefficient }: AxisResize): Tap[] {
  if (mode === "nearest") return [[ROUNDINGS[rounding ?? "roundPreferFloor"](place), 1]];
  const before = Math.floor(place), fraction = place - before;
  if (mode === "linear") return [[before, 1 - fraction], [before + 1, fraction]];
  return [-1, 0, 1, 2].map((step): Tap => [before + step, cubic(fraction - step, cubicCoefficient ?? -0.75)]);
}

/** The taps of each output element. Beyond the ends of the input its first and last elements are repeated. */
export function resizeTaps(axis: AxisResize): Tap[][] {
  requireSize("resize", "a size of the input", axis.from);
  requireSize("resize", "a size of the output", axis.to);
  if (axis.scale !== undefined && !(axis.scale > 0)) {
    throw new RangeError(`Cannot build resize: a scale is ${axis.scale}, but a number above 0 is required`);
  }
  return Array.from({ length: axis.to }, (_, output) => {
    const weights = new Map<number, number>();
    for (const [index, weight] of unclampedTaps(placeOf(output, axis), axis)) {
      const inside = Math.min(Math.max(index, 0), axis.from - 1);
      weights.set(inside, (weights.get(inside) ?? 0) + weight);
    }
    return [...weights].filter(([, weight]) => weight !== 0);
  });
}

/** For each element of the input, the output elements that it is a tap of. */
export function transposedTaps(taps: readonly (readonly Tap[])[], from: number): Tap[][] {
  const lists: Tap[][] = Array.from({ length: from }, () => []);
  taps.forEach((list, output) => list.forEach(([index, weight]) => lists[index].push([output, weight])));
  return lists;
}
