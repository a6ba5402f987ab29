/**
 * The kernels that a doctor tries, each with operands and the same result worked out by plain loops in float64.
 *
 * @module
 */

import { batchNorm } from "../../lib/ops/batch_norm.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { linear } from "../../lib/ops/linear.ts";
import type { Operation, Tensor } from "../../lib/ops/operation.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmax_cross_entropy.ts";
import { PhiloxSequence, Stream } from "../../lib/random/philox.ts";
import { sizeOf } from "../../lib/tensor.ts";

/** An operand as it lies on the device. */
export interface CaseOperand {
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
}

/** One operation on small operands. */
export interface KernelCase {
  /** What is tried, in words. */
  readonly name: string;
  readonly operands: Readonly<Record<string, CaseOperand>>;
  build(tensors: Readonly<Record<string, Tensor>>): Operation;
  /** What must come out, in the order of the output's elements. */
  expected(): Float64Array;
}

function drawn(seed: number, ...shape: number[]): CaseOperand & { readonly values: Float32Array<ArrayBuffer> } {
  const random = new PhiloxSequence(seed, Stream.init);
  return { shape, values: Float32Array.from({ length: sizeOf(shape) }, () => random.normal()) };
}

/** A fully connected layer: sizes that no tile divides. */
function matrixProduct(): KernelCase {
  const [rows, inner, columns] = [7, 37, 19];
  const input = drawn(1, rows, inner), weight = drawn(2, inner, columns), bias = drawn(3, columns);
  return {
    name: "matrix product",
    operands: { input, weight, bias },
    build: (t) => linear("self-test", t.input, t.weight, t.bias),
    expected() {
      const out = new Float64Array(rows * columns);
      for (let i = 0; i < out.length; i++) {
        const row = Math.floor(i / columns), column = i % columns;
        out[i] = bias.values[column];
        for (let k = 0; k < inner; k++) {
          out[i] += input.values[row * inner + k] * weight.values[k * columns + column];
        }
      }
      return out;
    },
  };
}

/** A 3x3 convolution of stride 2 with padding, [N, H, W, C] by [KH, KW, CIN, COUT]. */
function convolution(): KernelCase {
  const [n, size, cin, cout, kernel, stride, padding] = [2, 9, 8, 16, 3, 2, 1];
  const outSize = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const input = drawn(4, n, size, size, cin), weight = drawn(5, kernel, kernel, cin, cout);
  const at = (image: number, y: number, x: number, c: number) =>
    y < 0 || x < 0 || y >= size || x >= size ? 0 : input.values[((image * size + y) * size + x) * cin + c];
  function element(image: number, oy: number, ox: number, o: number): number {
    let sum = 0;
    for (let tap = 0; tap < kernel * kernel * cin; tap++) {
      const ky = Math.floor(tap / (kernel * cin)), kx = Math.floor(tap / cin) % kernel, c = tap % cin;
      sum += at(image, oy * stride + ky - padding, ox * stride + kx - padding, c) * weight.values[tap * cout + o];
    }
    return sum;
  }
  return {
    name: "convolution",
    operands: { input, weight },
    build: (t) => conv2d("self-test", t.input, t.weight, { stride, padding }),
    expected: () =>
      Float64Array.from({ length: n * outSize * outSize * cout }, (_, i) => {
        const pixel = Math.floor(i / cout);
        const row = Math.floor(pixel / outSize);
        return element(Math.floor(row / outSize), row % outSize, pixel % outSize, i % cout);
      }),
  };
}

/** Batch normalisation in training, by the batch's own statistics. */
function normalisation(): KernelCase {
  const [pixels, channels] = [2 * 5 * 5, 12];
  const input = drawn(6, 2, 5, 5, channels), weight = drawn(7, channels), bias = drawn(8, channels);
  const runningMean = drawn(9, channels);
  const runningVariance = { shape: [channels], values: new Float32Array(channels).fill(1) };
  return {
    name: "batch normalisation",
    operands: { input, weight, bias, runningMean, runningVariance },
    build: ({ input, weight, bias, runningMean, runningVariance }) =>
      batchNorm("self-test", input, { weight, bias, runningMean, runningVariance }),
    expected() {
      const out = new Float64Array(pixels * channels);
      for (let c = 0; c < channels; c++) {
        const values = Array.from({ length: pixels }, (_, p) => input.values[p * channels + c]);
        const mean = values.reduce((sum, x) => sum + x, 0) / pixels;
        const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / pixels;
        values.forEach((x, p) =>
          out[p * channels + c] = (x - mean) / Math.sqrt(variance + 1e-5) * weight.values[c] + bias.values[c]
        );
      }
      return out;
    },
  };
}

/** Softmax cross-entropy: the sum of the losses, the rows classified rightly, the rows. */
function crossEntropy(): KernelCase {
  const [rows, classes] = [13, 10];
  const logits = drawn(10, rows, classes);
  const labels = { shape: [rows], values: Uint32Array.from({ length: rows }, (_, i) => (i * 7) % classes) };
  return {
    name: "softmax cross-entropy",
    operands: { logits, labels },
    build: (t) => softmaxCrossEntropy("self-test", t.logits, t.labels),
    expected() {
      let loss = 0, right = 0;
      for (let row = 0; row < rows; row++) {
        const values = logits.values.subarray(row * classes, (row + 1) * classes);
        const largest = Math.max(...values);
        const sum = values.reduce((total, x) => total + Math.exp(x - largest), 0);
        loss += Math.log(sum) + largest - values[labels.values[row]];
        if (values.indexOf(largest) === labels.values[row]) right++;
      }
      return Float64Array.of(loss, right, rows);
    },
  };
}

/** All cases. */
export function kernelCases(): KernelCase[] {
  return [matrixProduct(), convolution(), normalisation(), crossEntropy()];
}
