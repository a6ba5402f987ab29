/**
 * Files that `torch.load` opens: PyTorch's zip format with a pickle of protocol 2, as `torch.save` writes it.
 *
 * @module
 */

import type { DType, HostTensor, StateDict } from "../tensor.ts";
import { encodeElements } from "./elements.ts";
import { writeZip, type ZipContent } from "./zip_writer.ts";

const STORAGE_TYPES: Readonly<Record<DType, string>> = {
  float64: "DoubleStorage",
  float32: "FloatStorage",
  float16: "HalfStorage",
  bfloat16: "BFloat16Storage",
  int64: "LongStorage",
  int32: "IntStorage",
  int16: "ShortStorage",
  int8: "CharStorage",
  uint8: "ByteStorage",
  bool: "BoolStorage",
};

const ROOT = "archive";

/** A pickle being written: its bytes so far. */
type Pickle = number[];

function opcode(pickle: Pickle, code: string): void {
  pickle.push(code.charCodeAt(0));
}

function u32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

function text(pickle: Pickle, value: string): void {
  const bytes = new TextEncoder().encode(value);
  opcode(pickle, "X");
  pickle.push(...u32(bytes.length));
  for (const byte of bytes) pickle.push(byte);
}

/** A name as the opcode GLOBAL takes it: module and name, a line each. */
function global(pickle: Pickle, module: string, name: string): void {
  opcode(pickle, "c");
  for (const byte of new TextEncoder().encode(`${module}\n${name}\n`)) pickle.push(byte);
}

function integer(pickle: Pickle, value: number): void {
  if (value < 0x80000000) {
    opcode(pickle, "J");
    pickle.push(...u32(value));
    return;
  }
  pickle.push(0x8a, 8, ...u32(value % 2 ** 32), ...u32(Math.floor(value / 2 ** 32)));
}

function integers(pickle: Pickle, values: readonly number[]): void {
  opcode(pickle, "(");
  for (const value of values) integer(pickle, value);
  opcode(pickle, "t");
}

function emptyOrderedDict(pickle: Pickle): void {
  global(pickle, "collections", "OrderedDict");
  opcode(pickle, ")");
  opcode(pickle, "R");
}

function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= Math.max(shape[axis], 1);
  }
  return strides;
}

/**
 * `_rebuild_tensor_v2(storage, 0, shape, strides, requires_grad=False, OrderedDict())`, the storage as persistent id.
 */
function writeTensor(pickle: Pickle, tensor: HostTensor, key: string): void {
  global(pickle, "torch._utils", "_rebuild_tensor_v2");
  opcode(pickle, "(");
  opcode(pickle, "(");
  text(pickle, "storage");
  global(pickle, "torch", STORAGE_TYPES[tensor.dtype]);
  text(pickle, key);
  text(pickle, "cpu");
  integer(pickle, tensor.data.length);
  opcode(pickle, "t");
  opcode(pickle, "Q");
  integer(pickle, 0);
  integers(pickle, tensor.shape);
  integers(pickle, rowMajorStrides(tensor.shape));
  pickle.push(0x89);
  emptyOrderedDict(pickle);
  opcode(pickle, "t");
  opcode(pickle, "R");
}

function writeStateDict(pickle: Pickle, tensors: StateDict): void {
  emptyOrderedDict(pickle);
  opcode(pickle, "(");
  let key = 0;
  for (const [name, tensor] of tensors) {
    text(pickle, name);
    writeTensor(pickle, tensor, String(key++));
  }
  opcode(pickle, "u");
}

/**
 * A `.pt` file that `torch.load` opens, also with `weights_only=True`: one tensor as a `torch.Tensor`, or a state
 * dictionary as an `OrderedDict` of tensors in the same order. Storages start at multiples of 64 bytes. `float16` and
 * `bfloat16` tensors are narrowed from float32, ties to even.
 *
 * Throws `TypeError` where a tensor's array fits neither its element type nor its shape, `RangeError` past 4 GiB.
 */
export function writeTorch(value: HostTensor | StateDict): Uint8Array {
  const tensors = value instanceof Map ? [...value.values()] : [value];
  const storages = tensors.map((tensor, key): ZipContent => ({
    name: `${ROOT}/data/${key}`,
    data: encodeElements(tensor),
  }));
  const pickle: Pickle = [0x80, 2];
  if (value instanceof Map) writeStateDict(pickle, value);
  else writeTensor(pickle, value, "0");
  opcode(pickle, ".");
  const encoder = new TextEncoder();
  return writeZip([
    { name: `${ROOT}/data.pkl`, data: Uint8Array.from(pickle) },
    { name: `${ROOT}/byteorder`, data: encoder.encode("little") },
    ...storages,
    { name: `${ROOT}/version`, data: encoder.encode("3\n") },
  ]);
}
