/**
 * The tensors of the plain f64 references ("twins") that every kernel is tested against.
 *
 * The twins are written to be obviously right, not fast: plain loops over named indices, float64 throughout.
 * Activations are NHWC `[batch, height, width, channels]`, as in the engine; weights keep PyTorch's layout
 * (convolution `[out, in / groups, kernelHeight, kernelWidth]`, linear `[out, in]`).
 *
 * @module
 */

/** A dense, row-major float64 tensor. */
export interface Tensor {
  /** Sizes, outermost first. */
  readonly shape: readonly number[];
  /** `product(shape)` elements. */
  readonly data: Float64Array;
}

/**
 * A tensor of `shape`, zero unless `data` is given (any numeric sequence, copied to float64).
 *
 * @throws {TypeError} where the number of values is not the product of the shape.
 */
export function tensor(shape: readonly number[], data?: ArrayLike<number>): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  if (data !== undefined && data.length !== size) {
    throw new TypeError(`Cannot shape ${data.length} values as [${shape}]: ${size} values are required`);
  }
  return { shape, data: data === undefined ? new Float64Array(size) : Float64Array.from(data) };
}

/**
 * The four sizes of an activation or convolution weight.
 *
 * @throws {TypeError} where the tensor is not four-dimensional.
 */
export function sizes4(t: Tensor): [number, number, number, number] {
  if (t.shape.length !== 4) {
    throw new TypeError(`Cannot read [${t.shape}] as an image batch: 4 dimensions are required`);
  }
  return t.shape as unknown as [number, number, number, number];
}

/**
 * The two sizes of a matrix.
 *
 * @throws {TypeError} where the tensor is not two-dimensional.
 */
export function sizes2(t: Tensor): [number, number] {
  if (t.shape.length !== 2) throw new TypeError(`Cannot read [${t.shape}] as a matrix: 2 dimensions are required`);
  return t.shape as unknown as [number, number];
}

/** Positions of a sliding window along one axis, as PyTorch counts them with `ceil_mode=False`. */
export function windowCount(size: number, kernel: number, stride: number, padding: number, dilation = 1): number {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}
