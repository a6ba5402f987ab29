/**
 * The windows of a pooling operation over NHWC activations.
 *
 * @module
 */

import { sizes4, type Tensor, windowCount } from "./tensor.ts";

/** Geometry of a pooling window, the same along both axes; no dilation, `ceil_mode=False`. */
export interface PoolOptions {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

/** Shape of the pooled output. */
export function pooledShape(input: Tensor, { kernel, stride, padding }: PoolOptions): [number, number, number, number] {
  const [batch, height, width, channels] = sizes4(input);
  return [
    batch,
    windowCount(height, kernel, stride, padding),
    windowCount(width, kernel, stride, padding),
    channels,
  ];
}

/** Visits every output with the flat indices of the inputs in its window, in row-major order, padding left out. */
export function forEachWindow(
  input: Tensor,
  options: PoolOptions,
  visit: (output: number, inputs: readonly number[]) => void,
): void {
  const { kernel, stride, padding } = options;
  const [, height, width, channels] = sizes4(input);
  const [batch, outHeight, outWidth] = pooledShape(input, options);
  for (let n = 0; n < batch; n++) {
    for (let oh = 0; oh < outHeight; oh++) {
      for (let ow = 0; ow < outWidth; ow++) {
        for (let c = 0; c < channels; c++) {
          const inputs: number[] = [];
          for (let kh = 0; kh < kernel; kh++) {
            for (let kw = 0; kw < kernel; kw++) {
              const h = oh * stride - padding + kh, w = ow * stride - padding + kw;
              if (h < 0 || h >= height || w < 0 || w >= width) continue;
              inputs.push(((n * height + h) * width + w) * channels + c);
            }
          }
          visit(((n * outHeight + oh) * outWidth + ow) * channels + c, inputs);
        }
      }
    }
  }
}
