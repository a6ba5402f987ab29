/**
 * The windows of a pooling operation over NHWC activations.
 *
 * @module
 */

import { sizes4, type Tensor } from "./tensor.ts";

/** Geometry of a pooling window, the same along both axes. */
export interface PoolOptions {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation?: number;
  readonly ceilMode?: boolean;
}

/** Windows along an axis: all that start before the padding behind the input and, without `ceilMode`, end inside it. */
function windows(size: number, { kernel, stride, padding, dilation = 1, ceilMode = false }: PoolOptions): number {
  const extent = dilation * (kernel - 1) + 1, end = size + 2 * padding;
  let count = 0;
  const reaches = (start: number) =>
    ceilMode ? start + extent < end + stride && start < size + padding : start + extent <= end;
  while (reaches(count * stride)) count++;
  return count;
}

/** Shape of the pooled output. */
export function pooledShape(input: Tensor, options: PoolOptions): [number, number, number, number] {
  const [batch, height, width, channels] = sizes4(input);
  return [batch, windows(height, options), windows(width, options), channels];
}

/** Visits every output with the flat indices of the inputs in its window, in row-major order, padding left out. */
export function forEachWindow(
  input: Tensor,
  options: PoolOptions,
  visit: (output: number, inputs: readonly number[], window: readonly [top: number, left: number]) => void,
): void {
  const { kernel, stride, padding, dilation = 1 } = options;
  const [, height, width, channels] = sizes4(input);
  const [batch, outHeight, outWidth] = pooledShape(input, options);
  for (let n = 0; n < batch; n++) {
    for (let oh = 0; oh < outHeight; oh++) {
      for (let ow = 0; ow < outWidth; ow++) {
        for (let c = 0; c < channels; c++) {
          const inputs: number[] = [];
          for (let kh = 0; kh < kernel; kh++) {
            for (let kw = 0; kw < kernel; kw++) {
              const h = oh * stride - padding + kh * dilation, w = ow * stride - padding + kw * dilation;
              if (h < 0 || h >= height || w < 0 || w >= width) continue;
              inputs.push(((n * height + h) * width + w) * channels + c);
            }
          }
          const window = [oh * stride - padding, ow * stride - padding] as const;
          visit(((n * outHeight + oh) * outWidth + ow) * channels + c, inputs, window);
        }
      }
    }
  }
}
