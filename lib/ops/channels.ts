/**
 * Moving channels: the parameter-free shortcut of CIFAR ResNets, concatenation, and flattening.
 *
 * @module
 */

import flattenSource from "../../kernels/flatten.wgsl" with { type: "text" };
import sliceSource from "../../kernels/channel_slice.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import {
  type Dispatch,
  type GradientSlot,
  imageShape,
  type Operation,
  requireSize,
  scratch,
  shapeError,
  type Tensor,
} from "./operation.ts";

/** One copy between a tensor and a range of channels of a wider one. */
interface Slice {
  readonly label: string;
  readonly narrow: Tensor;
  readonly wide: Tensor;
  readonly first: number;
  readonly stride: number;
}

function sliceConstants({ narrow, wide, first, stride }: Slice): Record<string, number> {
  const [, h, w, slice] = narrow.shape;
  const [, oh, ow, c] = wide.shape;
  return { SLICE: slice, C: c, FIRST: first, STRIDE: stride, INPUT_H: h, INPUT_W: w, OUTPUT_H: oh, OUTPUT_W: ow };
}

function put(slice: Slice, clear: boolean): Dispatch {
  const constants = sliceConstants(slice);
  const width = widthOf(constants.SLICE, constants.C, constants.FIRST);
  const positions = sizeOf(slice.wide.shape) / constants.C;
  return loop({
    label: slice.label,
    source: sliceSource,
    count: positions * (clear ? constants.C : constants.SLICE) / width,
    width,
    constants: { ...constants, BACKWARD: 0, CLEAR: clear ? 1 : 0 },
    bindings: [slice.narrow, slice.wide],
  });
}

function take(slice: Slice, dWide: Tensor, slot: GradientSlot): Dispatch {
  const constants = sliceConstants(slice);
  const width = widthOf(constants.SLICE, constants.C, constants.FIRST);
  return loop({
    label: `${slice.label} gradient`,
    source: sliceSource,
    count: sizeOf(slice.narrow.shape) / width,
    width,
    constants: { ...constants, BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 },
    bindings: [slot.tensor, dWide],
  });
}

/** How {@linkcode padChannels} widens. */
export interface PadChannelsOptions {
  /** Zero channels before the input's. */
  readonly before: number;
  /** Zero channels after the input's. */
  readonly after: number;
  /** Keep every `stride`-th position on both axes. */
  readonly stride?: number;
}

/**
 * Subsamples input [N, H, W, C] and pads its channels with zeros: the "option A" shortcut of He et al. (arXiv
 * 1512.03385, section 4.2).
 */
export function padChannels(name: string, input: Tensor, options: PadChannelsOptions): Operation {
  const { n, h, w, c } = imageShape("padChannels", input);
  const { before, after, stride = 1 } = options;
  requireSize("padChannels", "before", before, 0);
  requireSize("padChannels", "after", after, 0);
  requireSize("padChannels", "stride", stride);
  const output = scratch(name, [n, Math.ceil(h / stride), Math.ceil(w / stride), before + c + after]);
  const slice: Slice = { label: name, narrow: input, wide: output, first: before, stride };
  return {
    kind: "padChannels",
    inputs: [input],
    output,
    forward: () => [put(slice, true)],
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      return slot ? [take(slice, dOutput, slot)] : [];
    },
  };
}

/** Joins tensors [N, H, W, C_i] along the channels. */
export function concat(name: string, inputs: readonly Tensor[]): Operation {
  const shapes = inputs.map((input) => imageShape("concat", input));
  if (shapes.length === 0 || shapes.some((s) => s.n !== shapes[0].n || s.h !== shapes[0].h || s.w !== shapes[0].w)) {
    throw shapeError("concat", inputs.map((input) => `[${input.shape}]`).join(" "), "equal N, H and W are required");
  }
  const { n, h, w } = shapes[0];
  const output = scratch(name, [n, h, w, shapes.reduce((sum, shape) => sum + shape.c, 0)]);
  let first = 0;
  const slices = inputs.map((narrow, index): Slice => {
    const slice = { label: `${name} part ${index}`, narrow, wide: output, first, stride: 1 };
    first += shapes[index].c;
    return slice;
  });
  return {
    kind: "concat",
    inputs,
    output,
    forward: () => slices.map((slice) => put(slice, false)),
    backward: (_target, dOutput, gradientOf) =>
      slices.flatMap((slice) => {
        const slot = gradientOf(slice.narrow);
        return slot ? [take(slice, dOutput, slot)] : [];
      }),
  };
}

/** input [N, H, W, C] to [N, C * H * W], in the order of `torch.flatten` on [N, C, H, W]. */
export function flatten(name: string, input: Tensor): Operation {
  const { n, h, w, c } = imageShape("flatten", input);
  const output = scratch(name, [n, c * h * w]);
  const launch = (label: string, constants: Record<string, number>, bindings: Tensor[]) =>
    loop({
      label: `${name} ${label}`,
      source: flattenSource,
      count: n * h * w * c,
      constants: { C: c, AREA: h * w, ...constants },
      bindings,
    });
  return {
    kind: "flatten",
    inputs: [input],
    output,
    forward: () => [launch("forward", { BACKWARD: 0 }, [input, output])],
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      return [launch("gradient", { BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 }, [dOutput, slot.tensor])];
    },
  };
}
