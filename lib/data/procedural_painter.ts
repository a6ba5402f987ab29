/**
 * Paints one image of the procedural task.
 *
 * @module
 */

import type { PhiloxSequence } from "../random/philox.ts";
import { shapeDistance, SHAPES, TEXTURES, textureShare } from "./procedural_shapes.ts";

const SIDE = 32;
const PIXELS = SIDE * SIDE * 3;

/** Least distance of two colours that must be told apart, in sum over the channels of 0 to 255. */
const CONTRAST = 110;
/** Half-width of the triangular noise on a byte. */
const NOISE = 28;

type Colour = readonly [number, number, number];

/** A shape with its place and its paint. */
interface Figure {
  readonly shape: number;
  readonly texture: number;
  /** Centre, in pixels. */
  readonly x: number;
  readonly y: number;
  /** Half extent along its two axes, in pixels. */
  readonly radiusX: number;
  readonly radiusY: number;
  /** Unit vector of its first axis. */
  readonly axis: readonly [number, number];
  /** Unit vector of the texture's first axis. */
  readonly grain: readonly [number, number];
  readonly textureScale: number;
  readonly colours: readonly [Colour, Colour];
  readonly salt: number;
}

/** Canvas in floats; painting is never interleaved, so one is enough. */
const canvas = new Float64Array(PIXELS);

/**
 * Paints an object of a shape and texture among distractors.
 *
 * @param seeds where the generator of this image gets its state from
 * @param out `[32, 32, 3]` bytes
 */
export function paint(shape: number, texture: number, seeds: PhiloxSequence, out: Uint8Array): void {
  const random = new ImageRandom(seeds);
  paintBackground(random);
  for (let left = 3 + random.below(3); left > 0; left--) paintFigure(drawDistractor(random));
  paintFigure(drawObject(shape, texture, random));
  develop(random, out);
}

function paintBackground(random: ImageRandom): void {
  const [first, second] = [random.colour(), random.colour()];
  const [dx, dy] = random.direction();
  const texture = random.below(2) === 0 ? 0 : random.below(TEXTURES.length);
  const strength = random.between(0.15, 0.5), scale = random.between(0.7, 1.6), salt = random.word();
  for (let row = 0, at = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      const u = (column - 15.5) * dx + (row - 15.5) * dy, v = (row - 15.5) * dx - (column - 15.5) * dy;
      const gradient = Math.min(1, Math.max(0, u / 44 + 0.5));
      const share = gradient + (0.5 - gradient) * strength +
        (textureShare(texture, u, v, scale, salt) - 0.5) * strength;
      for (let channel = 0; channel < 3; channel++) {
        canvas[at++] = first[channel] + (second[channel] - first[channel]) * share;
      }
    }
  }
}

function drawObject(shape: number, texture: number, random: ImageRandom): Figure {
  const radius = random.between(7, 12);
  const squeeze = random.between(0.8, 1);
  return {
    shape,
    texture,
    x: 15.5 + random.between(-5, 5),
    y: 15.5 + random.between(-5, 5),
    radiusX: radius,
    radiusY: radius * squeeze,
    axis: random.direction(),
    grain: random.direction(),
    textureScale: random.between(0.85, 1.2),
    colours: random.colourPair(),
    salt: random.word(),
  };
}

function drawDistractor(random: ImageRandom): Figure {
  const radius = random.between(2.5, 5);
  return {
    shape: random.below(SHAPES.length),
    texture: random.below(TEXTURES.length),
    x: random.between(0, SIDE - 1),
    y: random.between(0, SIDE - 1),
    radiusX: radius,
    radiusY: radius,
    axis: random.direction(),
    grain: random.direction(),
    textureScale: random.between(0.7, 1.2),
    colours: random.colourPair(),
    salt: random.word(),
  };
}

function paintFigure(figure: Figure): void {
  const { shape, texture, x, y, radiusX, radiusY, axis, grain, textureScale, colours, salt } = figure;
  const reach = Math.ceil(Math.max(radiusX, radiusY) * 1.5) + 1;
  const left = Math.max(0, Math.floor(x) - reach), right = Math.min(SIDE - 1, Math.floor(x) + reach);
  const top = Math.max(0, Math.floor(y) - reach), bottom = Math.min(SIDE - 1, Math.floor(y) + reach);
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const dx = column - x, dy = row - y;
      const u = (dx * axis[0] + dy * axis[1]) / radiusX, v = (dy * axis[0] - dx * axis[1]) / radiusY;
      const cover = Math.min(1, 0.5 - shapeDistance(shape, u, v) * radiusY);
      if (cover <= 0) continue;
      const gu = dx * grain[0] + dy * grain[1], gv = dy * grain[0] - dx * grain[1];
      const share = textureShare(texture, gu, gv, textureScale, salt);
      const at = (row * SIDE + column) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const colour = colours[0][channel] + (colours[1][channel] - colours[0][channel]) * share;
        canvas[at + channel] += (colour - canvas[at + channel]) * cover;
      }
    }
  }
}

/** Canvas to bytes: brightness, contrast, noise. */
function develop(random: ImageRandom, out: Uint8Array): void {
  const gain = random.between(0.7, 1.15), bias = random.between(-25, 25) + 127.5 * (1 - gain);
  for (let at = 0; at < PIXELS; at++) {
    const word = random.word();
    const noise = (((word >>> 16) + (word & 0xffff)) / 0x10000 - 1) * NOISE;
    out[at] = Math.min(255, Math.max(0, Math.floor(canvas[at] * gain + bias + noise + 0.5)));
  }
}

/**
 * Xorshift with 128 bits of state (Marsaglia, "Xorshift RNGs", 2003): a few operations a draw, seeded by one Philox
 * block.
 */
class ImageRandom {
  #x: number;
  #y: number;
  #z: number;
  #w: number;

  constructor(seeds: PhiloxSequence) {
    this.#x = seeds.uint32();
    this.#y = seeds.uint32();
    this.#z = seeds.uint32();
    // The state must not be all zero.
    this.#w = seeds.uint32() | 1;
  }

  /** 32 random bits, signed. */
  word(): number {
    const t = this.#x ^ (this.#x << 11);
    this.#x = this.#y;
    this.#y = this.#z;
    this.#z = this.#w;
    return this.#w = this.#w ^ (this.#w >>> 19) ^ t ^ (t >>> 8);
  }

  /** Uniform on [0, 1). */
  uniform(): number {
    return (this.word() >>> 8) * 2 ** -24;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  below(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** A unit vector of random angle, without trigonometry, whose rounding differs between engines. */
  direction(): [number, number] {
    for (;;) {
      const x = this.between(-1, 1), y = this.between(-1, 1), length = Math.sqrt(x * x + y * y);
      if (length > 0.1 && length <= 1) return [x / length, y / length];
    }
  }

  colour(): Colour {
    return [this.between(0, 256), this.between(0, 256), this.between(0, 256)];
  }

  /** Two colours that can be told apart. */
  colourPair(): [Colour, Colour] {
    for (;;) {
      const first = this.colour(), second = this.colour();
      const distance = Math.abs(first[0] - second[0]) + Math.abs(first[1] - second[1]) + Math.abs(first[2] - second[2]);
      if (distance >= CONTRAST) return [first, second];
    }
  }
}
