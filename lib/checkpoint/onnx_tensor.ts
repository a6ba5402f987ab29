/**
 * Tensors as ONNX files hold them: raw bytes, typed fields, or a range of another file.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { DType, HostTensor } from "../tensor.ts";
import { type Budget, spend } from "./budget.ts";
import { checkedSize, decodeTensor, ELEMENT_BYTES } from "./elements.ts";
import { widenBfloat16, widenFloat16 } from "./half.ts";

/** Numbers as protobuf.js gives them: 64-bit integers are `Long`s. */
export type Numeric = number | { toString(): string };

/** The part of `onnx.TensorProto` that is read. */
export interface TensorProto {
  readonly name?: string | null;
  readonly dims?: readonly Numeric[] | null;
  readonly dataType?: number | null;
  readonly dataLocation?: number | null;
  readonly externalData?: readonly { readonly key?: string | null; readonly value?: string | null }[] | null;
  readonly rawData?: Uint8Array | null;
  readonly floatData?: readonly number[] | null;
  readonly doubleData?: readonly number[] | null;
  readonly int32Data?: readonly number[] | null;
  readonly int64Data?: readonly Numeric[] | null;
}

const EXTERNAL = 1;

/** `onnx.TensorProto.DataType`. */
const DTYPES: ReadonlyMap<number, DType> = new Map<number, DType>([
  [1, "float32"],
  [2, "uint8"],
  [3, "int8"],
  [5, "int16"],
  [6, "int32"],
  [7, "int64"],
  [9, "bool"],
  [10, "float16"],
  [11, "float64"],
  [16, "bfloat16"],
]);

/** `onnx.TensorProto.DataType` of an element type. */
export function onnxTypeOf(dtype: DType): number {
  return [...DTYPES].find(([, other]) => other === dtype)![0];
}

/** Names that the exporter made up: `onnx::Conv_497`, `497`. PyTorch's names are never such. */
export function isMadeUp(name: string): boolean {
  return name.startsWith("onnx::") || /^\d+$/.test(name);
}

/** The typed fields, where the elements do not lie in `raw_data`. */
function typedData(tensor: TensorProto, dtype: DType): HostTensor["data"] {
  const int32 = tensor.int32Data ?? [];
  switch (dtype) {
    case "float32":
      return Float32Array.from(tensor.floatData ?? []);
    case "float64":
      return Float64Array.from(tensor.doubleData ?? []);
    case "int64":
      return BigInt64Array.from(tensor.int64Data ?? [], (value) => BigInt(value.toString()));
    case "float16":
      return widenFloat16(Uint16Array.from(int32));
    case "bfloat16":
      return widenBfloat16(Uint16Array.from(int32));
    case "int32":
      return Int32Array.from(int32);
    case "int16":
      return Int16Array.from(int32);
    case "int8":
      return Int8Array.from(int32);
    default:
      return Uint8Array.from(int32);
  }
}

/** Other files of a model by the location that its tensors state. */
export type ExternalFiles = ReadonlyMap<string, Uint8Array>;

/** Where a tensor's bytes lie outside the model's file, if they do. */
export function externalLocation({ dataLocation, externalData }: TensorProto): string | undefined {
  if (dataLocation !== EXTERNAL) return undefined;
  return externalData?.find(({ key }) => key === "location")?.value ?? "";
}

/** A tensor's bytes in another file; the whole file where the tensor states no range. */
function externalBytes(tensor: TensorProto, what: string, files: ExternalFiles | undefined): Uint8Array {
  const location = externalLocation(tensor)!;
  const file = files?.get(location);
  if (file === undefined) {
    throw new FormatError(
      `${what} lies in another file, ${location || "unnamed"}, which is required beside the model's`,
    );
  }
  const stated = (key: string) => tensor.externalData?.find((entry) => entry.key === key)?.value;
  const offset = Number(stated("offset") ?? 0);
  const length = Number(stated("length") ?? file.length - offset);
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    throw new FormatError(`${what} states the range ${stated("offset")}, ${stated("length")} of ${location}`);
  }
  if (offset + length > file.length) {
    throw new FormatError(`${what} ends at byte ${offset + length} of ${location}, which has ${file.length} bytes`);
  }
  return file.subarray(offset, offset + length);
}

/**
 * A tensor over raw bytes, whose elements are decoded at each access of `data`: most tensors of a file lie at odd
 * offsets, where decoding is a copy, and few are needed at one time.
 */
function rawTensor(dtype: DType, shape: readonly number[], raw: Uint8Array): HostTensor {
  return {
    dtype,
    shape,
    bytes: raw,
    get data() {
      return decodeTensor(dtype, shape, raw, { left: Infinity }).data;
    },
  };
}

/**
 * The tensor that a `TensorProto` holds. Raw bytes stay where they are and are decoded at each access of `data`: a view of
 * the file where possible. Throws `FormatError` on an unknown element type, an absurd shape, or elements that are not
 * there; `what` begins its message.
 */
export function readOnnxTensor(
  tensor: TensorProto,
  budget: Budget,
  files?: ExternalFiles,
  what = `the initialiser ${tensor.name ?? ""}`,
): HostTensor {
  const dtype = DTYPES.get(tensor.dataType ?? 0);
  if (dtype === undefined) {
    throw new FormatError(`${what} is of ONNX type ${tensor.dataType ?? 0}, which cannot be read`);
  }
  const shape = (tensor.dims ?? []).map((n) => Number(n.toString()));
  const size = checkedSize(shape, what);
  const raw = tensor.dataLocation === EXTERNAL ? externalBytes(tensor, what, files) : tensor.rawData;
  const isRaw = raw !== undefined && raw !== null && raw.length > 0;
  if (isRaw && raw.length === size * ELEMENT_BYTES[dtype]) {
    spend(budget, size * Math.max(4, ELEMENT_BYTES[dtype]), what);
    return rawTensor(dtype, shape, raw);
  }
  const data = isRaw ? undefined : typedData(tensor, dtype);
  if (data?.length !== size) {
    const found = isRaw ? `${raw.length} bytes` : `${data?.length} elements`;
    throw new FormatError(`${what} of shape [${shape}] and type ${dtype} needs ${size} elements, but has ${found}`);
  }
  spend(budget, data.byteLength, what);
  return { dtype, shape, data };
}
