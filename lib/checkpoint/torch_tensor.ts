/**
 * Tensors as PyTorch pickles them: a storage, and the offset, sizes and strides of a view of it.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { DType, HostTensor } from "../tensor.ts";
import type { Budget } from "./budget.ts";
import { checkedSize, decodeTensor, ELEMENT_BYTES, viewRaw } from "./elements.ts";
import { describeValue, isGlobal, isRecord, type PickleValue } from "./pickle_value.ts";
import { gatherTensor, isContiguous } from "./strided.ts";

/** A storage: the memory that one or more tensors are views of. */
export interface TorchStorage {
  /** Tells a storage from everything else that a file holds. */
  readonly kind: "storage";
  /** Type of its elements. */
  readonly dtype: DType;
  /** Its elements, little-endian. */
  readonly bytes: Uint8Array;
}

/** What a PyTorch file holds besides plain values. */
export type HostOrStorage = HostTensor | TorchStorage;

/** Whatever a PyTorch file holds: a pickle's values, with tensors in their places. */
export type TorchValue = PickleValue<HostOrStorage>;

/** A storage as a persistent id names it. */
export interface StorageId {
  /** Type of its elements. */
  readonly dtype: DType;
  /** Its name in the file. */
  readonly key: string;
  /** Elements. */
  readonly length: number;
  /** Where the storage is a window of another in files of PyTorch before 0.4: its offset and length in elements. */
  readonly window: readonly [number, number] | null;
}

const STORAGE_DTYPES: ReadonlyMap<string, DType> = new Map([
  ["DoubleStorage", "float64"],
  ["FloatStorage", "float32"],
  ["HalfStorage", "float16"],
  ["BFloat16Storage", "bfloat16"],
  ["LongStorage", "int64"],
  ["IntStorage", "int32"],
  ["ShortStorage", "int16"],
  ["CharStorage", "int8"],
  ["ByteStorage", "uint8"],
  ["BoolStorage", "bool"],
]);

function storageDType(type: TorchValue): DType {
  const name = isGlobal(type) ? type.name : "";
  const dtype = STORAGE_DTYPES.get(name.replace(/^torch\.(cuda\.)?/, ""));
  if (dtype === undefined) {
    throw new FormatError(
      `a storage is of type ${describeValue(type)}; torch.${[...STORAGE_DTYPES.keys()].join(", torch.")} can be read`,
    );
  }
  return dtype;
}

function isIndex(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function readWindow(view: TorchValue | undefined): readonly [number, number] | null {
  if (view === undefined || view === null) return null;
  if (!Array.isArray(view) || !isIndex(view[1]) || !isIndex(view[2])) {
    throw new FormatError(`a storage is a window given by ${describeValue(view)}; key, offset and length are required`);
  }
  return [view[1], view[2]];
}

/** Read `("storage", type, key, location, length[, window])`. */
export function readStorageId(id: TorchValue): StorageId {
  if (!Array.isArray(id) || id[0] !== "storage" || typeof id[2] !== "string" || !isIndex(id[4])) {
    throw new FormatError(
      `a persistent id is ${describeValue(id)}; ("storage", type, key, location, length) is required`,
    );
  }
  const dtype = storageDType(id[1]);
  if (!Number.isSafeInteger(id[4] * ELEMENT_BYTES[dtype])) {
    throw new FormatError(`the storage ${id[2]} states ${id[4]} elements, more than any storage has`);
  }
  return { dtype, key: id[2], length: id[4], window: readWindow(id[5]) };
}

function isStorage(value: unknown): value is TorchStorage {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "storage";
}

/** `_rebuild_tensor(storage, offset, size, stride)`. */
function rebuildTensor(args: readonly TorchValue[], budget: Budget): HostTensor {
  const [storage, offset, shape, strides] = args;
  const what = `a tensor of shape [${
    Array.isArray(shape) ? shape.slice(0, 8).map(String) : describeValue(shape ?? null)
  }]`;
  if (!isStorage(storage) || !isIndex(offset) || !Array.isArray(shape) || !Array.isArray(strides)) {
    throw new FormatError(`${what} is not made of a storage, an offset, sizes and strides`);
  }
  const size = checkedSize(shape, what);
  if (strides.length !== shape.length || !strides.every(isIndex)) {
    throw new FormatError(
      `${what} has the strides [${strides.slice(0, 8).map(String)}]; one for each size is required`,
    );
  }
  const sizes = shape as number[], steps = strides as number[];
  const last = size === 0 ? -1 : sizes.reduce((at, n, axis) => at + (n - 1) * steps[axis], offset);
  const width = ELEMENT_BYTES[storage.dtype];
  if ((last + 1) * width > storage.bytes.length) {
    throw new FormatError(
      `${what} reaches element ${last} of a storage that has ${storage.bytes.length / width}; download the file again`,
    );
  }
  const bytes = storage.bytes.subarray(size === 0 ? 0 : offset * width, (last + 1) * width);
  if (size === 0 || isContiguous(sizes, steps)) return decodeTensor(storage.dtype, sizes, bytes, budget);
  return gatherTensor(storage.dtype, viewRaw(storage.dtype, bytes, budget), sizes, steps, budget);
}

/** The result of calling one of PyTorch's own functions, or `undefined` where it is not one that makes tensors. */
export function constructTorch(
  name: string,
  args: readonly TorchValue[],
  budget: Budget,
): TorchValue | undefined {
  switch (name) {
    case "torch._utils._rebuild_tensor":
    case "torch._utils._rebuild_tensor_v2":
      return rebuildTensor(args, budget);
    case "torch._utils._rebuild_parameter":
    case "torch._utils._rebuild_parameter_with_state":
    case "torch.nn.parameter.Parameter":
    case "torch.nn.parameter.Buffer":
      return isHostTensor(args[0]) ? args[0] : undefined;
    case "torch._tensor._rebuild_from_type_v2": {
      const [rebuild, , inner] = args;
      return isGlobal(rebuild) && rebuild.name !== name && Array.isArray(inner)
        ? constructTorch(rebuild.name, inner, budget)
        : undefined;
    }
    case "torch.Size":
      return Array.isArray(args[0]) ? args[0] : undefined;
    default:
      return undefined;
  }
}

/** Whether a value of a PyTorch file is a tensor. */
export function isHostTensor(value: unknown): value is HostTensor {
  return typeof value === "object" && value !== null && !isRecord(value as TorchValue) && "dtype" in value &&
    "shape" in value && "data" in value;
}
