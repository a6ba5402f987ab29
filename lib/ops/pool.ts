/**
 * Max and average pooling over windows, as `torch.nn.functional.max_pool2d` and `avg_pool2d`.
 *
 * @module
 */

import averageSource from "../../kernels/average_pool.wgsl" with { type: "text" };
import maxSource from "../../kernels/max_pool.wgsl" with { type: "text" };
import windowsSource from "../../kernels/pool_windows.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import {
  type Dispatch,
  imageShape,
  type Operation,
  requireSize,
  scratch,
  shapeError,
  type Tensor,
} from "./operation.ts";

/** Geometry of a pooling window; the same on both axes. */
export interface PoolOptions {
  readonly kernel: number;
  /** Defaults to `kernel`. */
  readonly stride?: number;
  /** At most half of `kernel`. */
  readonly padding?: number;
  /** A last window may reach past the padding, as long as it starts before the padding behind the input; false. */
  readonly ceilMode?: boolean;
}

/** Geometry of max pooling. */
export interface MaxPoolOptions extends PoolOptions {
  /** Distance of the positions that a window looks at; 1. */
  readonly dilation?: number;
}

/** Geometry of average pooling. */
export interface AveragePoolOptions extends PoolOptions {
  /** Padded positions count in the divisor; true, as in PyTorch. */
  readonly countIncludePad?: boolean;
}

/** Windows along an axis of `size` that span `extent`, as PyTorch counts them. */
function windowsOf(size: number, extent: number, stride: number, padding: number, ceilMode: boolean): number {
  const room = size + 2 * padding - extent;
  if (!ceilMode) return Math.floor(room / stride) + 1;
  const windows = Math.ceil(room / stride) + 1;
  return (windows - 1) * stride >= size + padding ? windows - 1 : windows;
}

function poolGeometry(kind: string, input: Tensor, options: MaxPoolOptions & { kernelW?: number }) {
  const { n, h, w, c } = imageShape(kind, input);
  const { kernel, kernelW = kernel, stride = kernel, padding = 0, dilation = 1, ceilMode = false } = options;
  requireSize(kind, "kernel", kernel);
  requireSize(kind, "stride", stride);
  requireSize(kind, "padding", padding, 0);
  requireSize(kind, "dilation", dilation);
  if (padding > Math.min(kernel, kernelW) / 2) {
    throw shapeError(kind, `padding ${padding}`, `at most half of the kernel ${kernel} is required`);
  }
  const oh = windowsOf(h, dilation * (kernel - 1) + 1, stride, padding, ceilMode);
  const ow = windowsOf(w, dilation * (kernelW - 1) + 1, stride, padding, ceilMode);
  if (oh < 1 || ow < 1) {
    throw shapeError(kind, `a window of ${kernel} on ${h}x${w} positions`, "at least one window is required");
  }
  const constants = {
    C: c,
    KH: kernel,
    KW: kernelW,
    STRIDE: stride,
    PAD: padding,
    DILATION: dilation,
    INPUT_H: h,
    INPUT_W: w,
    OUTPUT_H: oh,
    OUTPUT_W: ow,
  };
  return { shape: [n, oh, ow, c], width: widthOf(c), constants };
}

/** Maximum of each window of input [N, H, W, C], to [N, OH, OW, C]. */
export function maxPool(name: string, input: Tensor, options: MaxPoolOptions): Operation {
  const { shape, width, constants } = poolGeometry("maxPool", input, options);
  if (constants.KH * constants.KW > 256) {
    throw shapeError("maxPool", `a window of ${options.kernel}`, "at most 16x16 is supported");
  }
  const output = scratch(name, shape);
  const taps = scratch(`${name} taps`, [...shape.slice(0, 3), shape[3] / width]);
  const launch = (label: string, side: Tensor, extra: Record<string, number>, bindings: Tensor[]): Dispatch =>
    loop({
      label: `${name} ${label}`,
      source: windowsSource + maxSource,
      count: sizeOf(side.shape) / width,
      width,
      items: 1,
      constants: { ...constants, ...extra },
      bindings,
    });
  return {
    kind: "maxPool",
    inputs: [input],
    output,
    forward: () => [launch("forward", output, { BACKWARD: 0 }, [input, output, taps])],
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      return [
        launch("gradient", input, { BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 }, [taps, dOutput, slot.tensor]),
      ];
    },
  };
}

function average(
  name: string,
  input: Tensor,
  geometry: ReturnType<typeof poolGeometry>,
  shape: readonly number[],
  includePad: boolean,
): Operation {
  const { width, constants } = geometry;
  const output = scratch(name, shape);
  const launch = (label: string, side: Tensor, extra: Record<string, number>, bindings: Tensor[]): Dispatch =>
    loop({
      label: `${name} ${label}`,
      source: windowsSource + averageSource,
      count: sizeOf(side.shape) / width,
      width,
      items: 1,
      constants: { ...constants, INCLUDE_PAD: includePad ? 1 : 0, ...extra },
      bindings,
    });
  return {
    kind: "averagePool",
    inputs: [input],
    output,
    forward: () => [launch("forward", output, { BACKWARD: 0, ACCUMULATE: 0 }, [input, output])],
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      return [launch("gradient", input, { BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 }, [dOutput, slot.tensor])];
    },
  };
}

/** Mean of each window of input [N, H, W, C], to [N, OH, OW, C]. */
export function averagePool(name: string, input: Tensor, options: AveragePoolOptions): Operation {
  const geometry = poolGeometry("averagePool", input, options);
  return average(name, input, geometry, geometry.shape, options.countIncludePad ?? true);
}

/** Mean over all positions of input [N, H, W, C], to [N, C]. */
export function globalAveragePool(name: string, input: Tensor): Operation {
  const { n, h, w, c } = imageShape("globalAveragePool", input);
  const geometry = poolGeometry(
    "globalAveragePool",
    input,
    { kernel: h, kernelW: w, stride: Math.max(h, w) } as PoolOptions,
  );
  return average(name, input, geometry, [n, c], true);
}
