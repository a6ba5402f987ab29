/**
 * Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
 *
 * A draw is a pure function of a key and a counter, so nothing has to be saved to resume a run, and the device
 * (`kernels/philox.wgsl`) computes the same bits.
 *
 * @module
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** Purposes that must never share random numbers; the value is the highest word of the counter. */
export const Stream = {
  /** Sampler noise on the device. */
  noise: 0,
  /** Initial velocities. */
  velocity: 1,
  /** Order of the training examples. */
  order: 2,
  /** Augmentation of a training example. */
  augmentation: 3,
  /** Which examples a subset holds. */
  subset: 4,
  /** Initial weights. */
  init: 5,
  /** Draws from a prior. */
  prior: 6,
  /** The procedural image task. */
  procedural: 7,
  /** Sampler noise of the head. */
  headNoise: 8,
  /** Draws from the prior inside an implicit step, diagonal and low rank. */
  anchor: 9,
  anchorWeights: 10,
  /** The same for the head. */
  headAnchor: 11,
  headAnchorWeights: 12,
  /** Initial velocities of the head. */
  headVelocity: 13,
  /** Views of a training example in self-supervised learning. */
  view: 14,
  /** Random directions of a learned prior's factor. */
  subspace: 15,
  /** Labels drawn from a network's predictions. */
  predictedLabel: 16,
  /** Order of the examples within a step. */
  batchOrder: 17,
  /** Rows that clusterings begin with. */
  clusters: 18,
} as const;

/** High 32 bits of the product of two unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const middleLow = (middle % 0x10000) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(middleLow / 0x10000)) >>> 0;
}

/** Four unsigned 32-bit words from a 128-bit counter and a 64-bit key. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(MULTIPLIER_0, x0 >>> 0), low0 = Math.imul(MULTIPLIER_0, x0) >>> 0;
    const high1 = mulHigh(MULTIPLIER_1, x2 >>> 0), low1 = Math.imul(MULTIPLIER_1, x2) >>> 0;
    [x0, x1, x2, x3] = [(high1 ^ x1 ^ k0) >>> 0, low1, (high0 ^ x3 ^ k1) >>> 0, low0];
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [x0 >>> 0, x1 >>> 0, x2 >>> 0, x3 >>> 0];
}

/** A sequence of draws under one (seed, stream, chain or epoch, index): a cursor over the counter. */
export class PhiloxSequence {
  readonly #key: readonly [number, number];
  readonly #words: readonly [number, number, number];
  #block = 0;
  #buffer: number[] = [];

  /**
   * @param seed any integer; its low 64 bits count
   * @param stream one of {@linkcode Stream}
   * @param a second word of the counter, for instance an epoch
   * @param b third word of the counter, for instance an example
   */
  constructor(seed: number, stream: number, a = 0, b = 0) {
    this.#key = [seed >>> 0, Math.floor(seed / 0x100000000) >>> 0];
    this.#words = [a >>> 0, b >>> 0, stream >>> 0];
  }

  /** The next 32 random bits. */
  uint32(): number {
    if (this.#buffer.length === 0) {
      this.#buffer = philox4x32([this.#block++, ...this.#words], this.#key).reverse();
    }
    return this.#buffer.pop()!;
  }

  /** Uniform on [0, 1), 24 bits. */
  uniform(): number {
    return (this.uint32() >>> 8) * 2 ** -24;
  }

  /** Uniform integer on [0, bound); unbiased by rejection. */
  below(bound: number): number {
    const limit = Math.floor(0x100000000 / bound) * bound;
    for (;;) {
      const word = this.uint32();
      if (word < limit) return word % bound;
    }
  }

  /** Standard normal, by Box and Muller. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(((this.uint32() >>> 8) + 1) * 2 ** -24));
    return radius * Math.cos(2 * Math.PI * (this.uint32() >>> 8) * 2 ** -24);
  }

  /** Shuffles in place (Fisher and Yates) and returns its argument. */
  shuffle<T extends { [index: number]: unknown; length: number }>(items: T): T {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const item = items[last];
      items[last] = items[other];
      items[other] = item;
    }
    return items;
  }
}
