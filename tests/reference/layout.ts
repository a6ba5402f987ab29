/**
 * Between PyTorch's activation layout (NCHW), which fixtures and files hold, and the engine's (NHWC).
 *
 * @module
 */

import { sizes4, type Tensor, tensor } from "./tensor.ts";

/** `[N, C, H, W]` to `[N, H, W, C]`. */
export function nchwToNhwc(t: Tensor): Tensor {
  const [batch, channels, height, width] = sizes4(t);
  const out = tensor([batch, height, width, channels]);
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      for (let h = 0; h < height; h++) {
        for (let w = 0; w < width; w++) {
          out.data[((n * height + h) * width + w) * channels + c] =
            t.data[((n * channels + c) * height + h) * width + w];
        }
      }
    }
  }
  return out;
}

/** `[N, H, W, C]` to `[N, C, H, W]`. */
export function nhwcToNchw(t: Tensor): Tensor {
  const [batch, height, width, channels] = sizes4(t);
  const out = tensor([batch, channels, height, width]);
  for (let n = 0; n < batch; n++) {
    for (let h = 0; h < height; h++) {
      for (let w = 0; w < width; w++) {
        for (let c = 0; c < channels; c++) {
          out.data[((n * channels + c) * height + h) * width + w] =
            t.data[((n * height + h) * width + w) * channels + c];
        }
      }
    }
  }
  return out;
}
