/**
 * Swin transformers (Liu et al., arXiv 2103.14030): attention within windows that shift from layer to layer.
 *
 * @module
 */

import { attention } from "./attention.ts";
import type { Architecture, NetworkBuilder, Value } from "./builder.ts";
import { normal } from "../initial.ts";
import { defaultConvolution } from "./layers.ts";

/** One of the family. */
export interface SwinConfig {
  /** Channels of the first stage; each has twice those of the one before. */
  readonly width: number;
  /** Blocks of each stage. */
  readonly layers: readonly number[];
  /** Of each stage. */
  readonly heads: readonly number[];
}

const CONFIGS = {
  t: { width: 96, layers: [2, 2, 6, 2], heads: [3, 6, 12, 24] },
  s: { width: 96, layers: [2, 2, 18, 2], heads: [3, 6, 12, 24] },
  b: { width: 128, layers: [2, 2, 18, 2], heads: [4, 8, 16, 32] },
} as const satisfies Record<string, SwinConfig>;
const PATCH = 4, WINDOW = 7, EXPANSION = 4, EPS = 1e-5;
/** Stands for minus infinity among scores. */
const APART = -100;
const INITIAL = normal(0.02);

/** For each pair of a window's pixels the row of the table of relative positions. */
function relativePositions(): number[] {
  const span = 2 * WINDOW - 1, pixels = Array.from({ length: WINDOW ** 2 }, (_, i) => i);
  return pixels.flatMap((a) =>
    pixels.map((b) => {
      const rows = Math.floor(a / WINDOW) - Math.floor(b / WINDOW), columns = a % WINDOW - b % WINDOW;
      return (rows + WINDOW - 1) * span + columns + WINDOW - 1;
    })
  );
}

/** Which part of a shifted axis a place is of: pixels of different parts were not neighbours. */
function partOf(place: number, size: number, shift: number): number {
  if (shift === 0) return 0;
  return place < size - WINDOW ? 0 : place < size - shift ? 1 : 2;
}

/** Scores' terms [windows, pixels, pixels]: none within a part of the image, and `APART` between two. */
function maskOf(height: number, width: number, [down, right]: readonly number[]): number[] {
  const mask: number[] = [];
  for (let top = 0; top < height; top += WINDOW) {
    for (let left = 0; left < width; left += WINDOW) {
      const parts = Array.from({ length: WINDOW ** 2 }, (_, i) => {
        const row = top + Math.floor(i / WINDOW), column = left + i % WINDOW;
        return 3 * partOf(row, height, down) + partOf(column, width, right);
      });
      for (const a of parts) for (const b of parts) mask.push(a === b ? 0 : APART);
    }
  }
  return mask;
}

/** Attention within windows of an image [H, W, C] that is shifted by `shift` pixels. */
function windowAttention(builder: NetworkBuilder, name: string, input: Value, heads: number, shift: number): Value {
  const [height, width, channels] = input.shape, pixels = WINDOW ** 2;
  const table = builder.weight(`${name}.relative_position_bias_table`, [(2 * WINDOW - 1) ** 2, heads], INITIAL);
  let x = builder.padded(`${name}.padded`, input, [height, width].map((n) => (WINDOW - n % WINDOW) % WINDOW));
  const [rows, columns] = x.shape;
  const shifts = [rows, columns].map((n) => n <= WINDOW ? 0 : shift);
  shifts.forEach((by, axis) => x = by === 0 ? x : builder.rolled(`${name}.rolled${axis}`, x, axis, by));
  const [down, across] = [rows / WINDOW, columns / WINDOW];
  x = builder.reshaped(`${name}.apart`, x, [down, WINDOW, across, WINDOW, channels]);
  x = builder.reshaped(`${name}.windows`, builder.transposed(`${name}.tiles`, x, [0, 2, 1, 3, 4]), [pixels, channels]);
  const qkv = builder.linear(`${name}.qkv`, x, { out: 3 * channels, initial: INITIAL });
  const bias = builder.headsOf(`${name}.bias`, table, relativePositions(), [pixels, pixels], heads);
  x = attention(builder, `${name}.attention`, qkv, heads, (scores) => {
    const biased = builder.add(`${name}.biased`, scores, bias);
    if (shifts.every((by) => by === 0)) return biased;
    const windows = down * across;
    const mask = builder.table(`${name}.mask`, [1, windows, 1, pixels, pixels], maskOf(rows, columns, shifts));
    const apart = builder.reshaped(`${name}.by_window`, biased, [windows, heads, pixels, pixels]);
    return builder.reshaped(`${name}.scored`, builder.add(`${name}.masked`, apart, mask), scores.shape);
  });
  x = builder.linear(`${name}.proj`, x, { out: channels, initial: INITIAL });
  x = builder.reshaped(`${name}.untiled`, x, [down, across, WINDOW, WINDOW, channels]);
  x = builder.reshaped(`${name}.image`, builder.transposed(`${name}.turned`, x, [0, 2, 1, 3, 4]), [
    rows,
    columns,
    channels,
  ]);
  shifts.forEach((by, axis) => {
    if (by > 0) x = builder.rolled(`${name}.unrolled${axis}`, x, axis, x.shape[axis] - by);
  });
  [height, width].forEach((size, axis) => {
    if (x.shape[axis] > size) x = builder.slice(`${name}.cropped${axis}`, x, axis, 0, size);
  });
  return x;
}

function block(builder: NetworkBuilder, name: string, input: Value, heads: number, shift: number): Value {
  const channels = input.shape.at(-1)!;
  const normalised = builder.layerNorm(`${name}.norm1`, input, EPS);
  const attended = windowAttention(builder, `${name}.attn`, normalised, heads, shift);
  const x = builder.add(`${name}.attended`, input, attended);
  const linear = (index: number, value: Value, out: number) =>
    builder.linear(`${name}.mlp.${index}`, value, { out, initial: INITIAL });
  const inner = linear(0, builder.layerNorm(`${name}.norm2`, x, EPS), EXPANSION * channels);
  return builder.add(`${name}.output`, x, linear(3, builder.gelu(`${name}.mlp.1`, inner), channels));
}

/** Squares of four pixels become one of twice the channels. */
function merged(builder: NetworkBuilder, name: string, input: Value): Value {
  const channels = input.shape[2];
  // Registered before the normalisation that it comes after.
  const weight = builder.weight(`${name}.reduction.weight`, [2 * channels, 4 * channels], INITIAL);
  const even = builder.padded(`${name}.padded`, input, input.shape.slice(0, 2).map((n) => n % 2));
  const [height, width] = even.shape;
  const corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([row, column]) => {
    const rows = builder.slice(`${name}.rows${row}${column}`, even, 0, row, height, 2);
    return builder.slice(`${name}.corner${row}${column}`, rows, 1, column, width, 2);
  });
  const normalised = builder.layerNorm(`${name}.norm`, builder.concat(`${name}.concat`, corners, 2), EPS);
  return builder.linearOf(`${name}.reduction`, normalised, [weight], [height / 2, width / 2, 2 * channels]);
}

/** One of the published ones: its logits. */
export function swin(size: keyof typeof CONFIGS): Architecture {
  return swinTransformer(CONFIGS[size]);
}

/** A Swin transformer: its logits. */
export function swinTransformer({ width, layers, heads }: SwinConfig): Architecture {
  return (builder, numClasses) => {
    const { images } = builder, { initial, initialBias } = defaultConvolution(images, PATCH);
    const patches = { out: width, kernel: PATCH, stride: PATCH, bias: true, initial, initialBias };
    let x = builder.transposed("features.0.1", builder.conv("features.0.0", images, patches), [1, 2, 0]);
    x = builder.layerNorm("features.0.2", x, EPS);
    layers.forEach((count, stage) => {
      if (stage > 0) x = merged(builder, `features.${2 * stage}`, x);
      for (let i = 0; i < count; i++) {
        const shift = i % 2 === 0 ? 0 : Math.floor(WINDOW / 2);
        x = block(builder, `features.${2 * stage + 1}.${i}`, x, heads[stage], shift);
      }
    });
    x = builder.transposed("permute", builder.layerNorm("norm", x, EPS), [2, 0, 1]);
    const features = builder.flatten("flatten", builder.globalAveragePool("avgpool", x));
    return builder.head("head", features, numClasses);
  };
}
