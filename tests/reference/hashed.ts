/**
 * Weights, images and labels that need no file: element `index` of stream `stream` is an integer hash of the two, the same
 * bits here and in `tests/fixtures/hashed.py`.
 *
 * @module
 */

/**
 * A 32-bit hash of two 32-bit numbers: the finaliser of MurmurHash3 (fmix32: xor-shifts and odd multiplications, a
 * bijection) over the index, offset by a hash of the stream.
 */
export function hash32(stream: number, index: number): number {
  return mix((mix(Math.imul(stream, 0x9e3779b9) + 0x7f4a7c15) + index) >>> 0);
}

/** fmix32. */
function mix(word: number): number {
  let h = word >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Uniform on the grid of 2⁻²³ in [−1, 1): the upper 24 bits of the hash, exact in float32 and float64. */
export function hashedUnit(stream: number, index: number): number {
  return (hash32(stream, index) >>> 8) * 2 ** -24 * 2 - 1;
}

/** `count` values offset + scale · unit, computed in float64 and rounded once to float32. */
export function hashedValues(stream: number, count: number, scale: number, offset = 0): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => offset + scale * hashedUnit(stream, i));
}

/** `count` labels in [0, classes). */
export function hashedLabels(stream: number, count: number, classes: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => hash32(stream, i) % classes);
}

/** `count` positions in [0, size): where a fixture samples a large tensor. */
export function hashedPositions(stream: number, count: number, size: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => hash32(stream, i) % size);
}

/** Streams of a network fixture that are not parameters; parameter t of `named_parameters()` has stream t. */
export const HashedStream = {
  /** Labels. The images have the stream that the fixture's `config.imageStream` names, in NCHW order, scale 1. */
  labels: 1_000_000,
  /** Sampled positions of parameter t: this plus t. */
  gradientPositions: 2_000_000,
  /** Sampled positions of BatchNorm buffer t: this plus t. */
  bufferPositions: 3_000_000,
} as const;

/** How {@linkcode hashedParameter} fills a parameter of this name and shape: offset + scale · unit. */
function parameterRange(name: string, shape: readonly number[], damped: string): { scale: number; offset: number } {
  if (shape.length > 1) {
    const fanIn = shape.slice(1).reduce((product, n) => product * n, 1);
    return { scale: Math.sqrt(6 / fanIn) * 0.5, offset: 0 };
  }
  if (!name.endsWith("weight")) return { scale: 0.1, offset: 0 };
  return { scale: 0.1, offset: name.endsWith(damped) ? 0.3 : 1 };
}

/**
 * Parameter `index` of a network's `named_parameters()`, in PyTorch's layout: convolutions and linear weights uniform with
 * half of He's range √(6 / fanIn), BatchNorm weights 1 ± 0.1, biases 0 ± 0.1. BatchNorm weights whose name ends in `damped`
 * (the fixture's `config.damped`) are 0.3 ± 0.1.
 */
export function hashedParameter(name: string, shape: readonly number[], index: number, damped: string): Float32Array {
  const { scale, offset } = parameterRange(name, shape, damped);
  return hashedValues(index, shape.reduce((product, n) => product * n, 1), scale, offset);
}
