/**
 * Reference of `augmentImages` for one image: torchvision's transforms of a draw, in float64.
 *
 * @module
 */

import type { View, ViewDraw } from "../../lib/data/augmentation/view.ts";
import type { Normalisation } from "../../lib/data/normalisation.ts";
import { sizes2, type Tensor, tensor } from "./tensor.ts";

/** An image of three numbers a pixel, and black outside. */
class Picture {
  readonly height: number;
  readonly width: number;
  readonly #data: ArrayLike<number>;

  constructor(height: number, width: number, data: ArrayLike<number>) {
    this.height = height;
    this.width = width;
    this.#data = data;
  }

  static from(height: number, width: number, pixelAt: (y: number, x: number) => readonly number[]): Picture {
    const data: number[] = [];
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.push(...pixelAt(y, x));
    return new Picture(height, width, data);
  }

  at(y: number, x: number): [number, number, number] {
    if (y < 0 || x < 0 || y >= this.height || x >= this.width) return [0, 0, 0];
    const at = (y * this.width + x) * 3;
    return [this.#data[at], this.#data[at + 1], this.#data[at + 2]];
  }

  map(fn: (pixel: [number, number, number]) => readonly number[]): Picture {
    return Picture.from(this.height, this.width, (y, x) => fn(this.at(y, x)));
  }

  get mean(): number {
    let sum = 0;
    this.map((pixel) => {
      sum += luminance(pixel);
      return pixel;
    });
    return sum / (this.height * this.width);
  }

  toTensor(): Tensor {
    return tensor([this.height, this.width, 3], this.#data);
  }
}

const clamp = (x: number) => Math.min(1, Math.max(0, x));
const luminance = ([r, g, b]: readonly number[]) => 0.2989 * r + 0.587 * g + 0.114 * b;

/** Pillow's filters: a triangle, and the cubic with a = -1/2. */
const FILTERS = {
  bilinear: { support: 1, weight: (x: number) => Math.max(0, 1 - x) },
  bicubic: {
    support: 2,
    weight: (x: number) =>
      x < 1 ? 1.5 * x ** 3 - 2.5 * x ** 2 + 1 : x < 2 ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 : 0,
  },
};

/** One output pixel of a line of bytes. */
function resampled(
  from: number,
  to: number,
  position: number,
  filter: keyof typeof FILTERS,
  read: (at: number) => number,
): number {
  const { support, weight } = FILTERS[filter];
  const scale = from / to, stretch = Math.max(1, scale), centre = (position + 0.5) * scale;
  const first = Math.max(0, Math.trunc(centre - support * stretch + 0.5));
  const end = Math.min(from, Math.trunc(centre + support * stretch + 0.5));
  const places = Array.from({ length: end - first }, (_, i) => first + i);
  const weights = places.map((at) => weight(Math.abs(at + 0.5 - centre) / stretch));
  const total = weights.reduce((a, b) => a + b);
  const fixed = weights.map((w) => Math.sign(w) * Math.floor(Math.abs(w) / total * 2 ** 22 + 0.5));
  const sum = places.reduce((sum, at, i) => sum + fixed[i] * read(at), 2 ** 21);
  return Math.min(255, Math.max(0, Math.floor(sum / 2 ** 22)));
}

function resized(image: Picture, view: View, { box }: ViewDraw): Picture {
  const { resize } = view;
  if (resize === undefined) return image;
  const { height, width } = resize.kind === "whole" ? resize : view;
  const channels = [0, 1, 2];
  const rows = Picture.from(
    box.height,
    width,
    (y, x) =>
      channels.map((c) =>
        resampled(box.width, width, x, resize.filter, (at) => image.at(box.top + y, box.left + at)[c])
      ),
  );
  return Picture.from(
    height,
    width,
    (y, x) => channels.map((c) => resampled(box.height, height, y, resize.filter, (at) => rows.at(at, x)[c])),
  );
}

function roundHalfToEven(x: number): number {
  const whole = Math.floor(x);
  return x - whole === 0.5 ? whole + Math.abs(whole % 2) : Math.round(x);
}

function rotated(image: Picture, { rotation }: View, { angle }: ViewDraw): Picture {
  if (rotation === undefined) return image;
  const a = angle * Math.PI / 180, cy = (image.height - 1) / 2, cx = (image.width - 1) / 2;
  return Picture.from(image.height, image.width, (row, column) => {
    const y = Math.sin(a) * (column - cx) + Math.cos(a) * (row - cy) + cy;
    const x = Math.cos(a) * (column - cx) - Math.sin(a) * (row - cy) + cx;
    if (rotation.interpolation === "nearest") return image.at(roundHalfToEven(y), roundHalfToEven(x));
    const top = Math.floor(y), left = Math.floor(x), v = y - top, u = x - left;
    return [0, 1, 2].map((c) =>
      (1 - v) * ((1 - u) * image.at(top, left)[c] + u * image.at(top, left + 1)[c]) +
      v * ((1 - u) * image.at(top + 1, left)[c] + u * image.at(top + 1, left + 1)[c])
    );
  });
}

function placed(image: Picture, { height, width }: View, draw: ViewDraw): Picture {
  return Picture.from(height, width, (y, x) => {
    const row = draw.verticalFlip ? height - 1 - y : y, column = draw.horizontalFlip ? width - 1 - x : x;
    return image.at(row + draw.top, column + draw.left);
  });
}

function shiftedHue([r, g, b]: [number, number, number], turn: number): number[] {
  const most = Math.max(r, g, b), chroma = most - Math.min(r, g, b);
  if (chroma === 0) return [r, g, b];
  const hue = r === most ? (g - b) / chroma : g === most ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
  const turned = hue / 6 + turn, sector = (turned - Math.floor(turned)) * 6;
  // A colour of full saturation has 1 from sector 5 to 1, falls or rises in one sector, and 0 in two.
  return [5, 3, 1].map((offset) => {
    const at = (sector + offset) % 6;
    return most - chroma * Math.max(0, Math.min(at, 4 - at, 1));
  });
}

function changed(image: Picture, { kind, factor }: ViewDraw["changes"][number]): Picture {
  const blend = (pixel: readonly number[], other: number) => pixel.map((x) => clamp(factor * x + (1 - factor) * other));
  if (kind === "brightness") return image.map((pixel) => pixel.map((x) => clamp(x * factor)));
  if (kind === "saturation") return image.map((pixel) => blend(pixel, luminance(pixel)));
  if (kind === "hue") return image.map((pixel) => shiftedHue(pixel, factor));
  const { mean } = image;
  return image.map((pixel) => blend(pixel, mean));
}

function blurred(image: Picture, { blur }: View, { sigma }: ViewDraw): Picture {
  if (sigma === 0) return image;
  const half = (blur!.kernel - 1) / 2;
  const taps = Array.from({ length: blur!.kernel }, (_, i) => Math.exp(-0.5 * ((i - half) / sigma) ** 2));
  const total = taps.reduce((a, b) => a + b);
  const mirrored = (at: number, size: number) => at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
  return Picture.from(image.height, image.width, (y, x) => {
    const sum = [0, 0, 0];
    taps.forEach((v, i) =>
      taps.forEach((u, j) => {
        const pixel = image.at(mirrored(y + i - half, image.height), mirrored(x + j - half, image.width));
        pixel.forEach((value, c) => sum[c] += value * u * v / total ** 2);
      })
    );
    return sum;
  });
}

/**
 * The view of an image.
 *
 * @param image bytes [H, W, 3]
 * @returns [height, width, 3]
 */
export function augmented(image: Tensor, view: View, draw: ViewDraw, { mean, std }: Normalisation): Tensor {
  const [height, width] = sizes2({ ...image, shape: image.shape.slice(0, 2) });
  let picture = resized(new Picture(height, width, image.data), view, draw).map((pixel) => pixel.map((x) => x / 255));
  picture = placed(rotated(picture, view, draw), view, draw);
  for (const change of draw.changes) picture = changed(picture, change);
  if (draw.grey) picture = picture.map((pixel) => Array(3).fill(luminance(pixel)));
  picture = blurred(picture, view, draw);
  const { threshold } = draw;
  if (threshold !== undefined) picture = picture.map((pixel) => pixel.map((x) => x >= threshold ? 1 - x : x));
  return picture.map((pixel) => pixel.map((x, c) => (x - mean[c]) / std[c])).toTensor();
}
