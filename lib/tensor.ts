/**
 * Tensors in host memory, as files hold them: PyTorch's order and layout, row-major.
 *
 * @module
 */

/** Element types that checkpoints hold. `float16` and `bfloat16` are widened to `Float32Array` when they are read. */
export type DType =
  | "float64"
  | "float32"
  | "float16"
  | "bfloat16"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

/** The array that carries a tensor's elements. */
export type TensorData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array;

/** A dense, contiguous, row-major tensor in host memory. */
export interface HostTensor {
  /** Element type in the file; see {@linkcode DType} for how it maps to `data`. */
  readonly dtype: DType;
  /** Sizes, outermost first; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** `product(shape)` elements. */
  readonly data: TensorData;
  /** The elements as a file's little-endian bytes, where each access of `data` decodes them anew. */
  readonly bytes?: Uint8Array;
}

/** A checkpoint: tensors by name, in the file's order. */
export type StateDict = Map<string, HostTensor>;

/** Number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, n) => size * n, 1);
}

/** A float32 tensor over `data`, which it does not copy. */
export function float32Tensor(shape: readonly number[], data: Float32Array): HostTensor {
  if (data.length !== sizeOf(shape)) {
    throw new RangeError(`Cannot shape ${data.length} values as [${shape}]: ${sizeOf(shape)} values are required`);
  }
  return { dtype: "float32", shape, data };
}

/** Writes the elements of a tensor of any type but int64 to `target`, from `offset` on. */
export function copyFloats(tensor: HostTensor, target: Float32Array, offset: number): void {
  const { dtype, bytes } = tensor;
  if (dtype === "float32" && bytes !== undefined) {
    new Uint8Array(target.buffer, target.byteOffset + 4 * offset, bytes.length).set(bytes);
    return;
  }
  target.set(tensor.data as Exclude<TensorData, BigInt64Array>, offset);
}
