/**
 * Between the layouts of the references and those of the device, written from their definitions and not from the code
 * under test: a convolution is [O, I, KH, KW] in PyTorch and [KH, KW, I, O] on the device, a linear layer [O, I] and
 * [I, O].
 *
 * @module
 */

import { type Tensor, tensor } from "../reference/tensor.ts";

/** Device element of each element of `[outer, inner, taps]`. */
function places(shape: readonly number[]): number[] {
  const [outer, inner, kh = 1, kw = 1] = shape;
  const found: number[] = [];
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      for (let h = 0; h < kh; h++) {
        for (let w = 0; w < kw; w++) found.push(((h * kw + w) * inner + i) * outer + o);
      }
    }
  }
  return found;
}

function deviceShape(shape: readonly number[], layout?: string): readonly number[] {
  if (layout === "convolution") return [shape[2], shape[3], shape[1], shape[0]];
  return layout === "linear" ? [shape[1], shape[0]] : shape;
}

const isPermuted = (layout?: string) => layout === "convolution" || layout === "linear";

/** The words that the device holds for a tensor, and its shape there. */
export function toDevice(
  value: Tensor,
  layout?: string,
): { shape: readonly number[]; words: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> } {
  const shape = deviceShape(value.shape, layout);
  if (layout === "labels") return { shape, words: Uint32Array.from(value.data) };
  if (layout === "bytes") {
    const bytes = new Uint8Array(Math.ceil(value.data.length / 4) * 4);
    bytes.set(Uint8Array.from(value.data));
    return { shape, words: new Uint32Array(bytes.buffer) };
  }
  const words = new Float32Array(value.data.length);
  if (isPermuted(layout)) places(value.shape).forEach((place, i) => words[place] = value.data[i]);
  else words.set(value.data);
  return { shape, words };
}

/** Inverse of {@linkcode toDevice}, for a tensor of `shape` in the reference's layout. */
export function fromDevice(bytes: ArrayBuffer, shape: readonly number[], layout?: string): Tensor {
  if (layout === "labels") return tensor(shape, new Uint32Array(bytes));
  if (layout === "bytes") return tensor(shape, new Uint8Array(bytes).slice(0, shape.reduce((a, b) => a * b, 1)));
  const words = new Float32Array(bytes);
  return tensor(shape, isPermuted(layout) ? places(shape).map((place) => words[place]) : words);
}
