/**
 * safetensors: a JSON header of names, types, shapes and offsets, then the elements.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { DType, HostTensor, StateDict } from "../tensor.ts";
import { type Budget, budgetFor } from "./budget.ts";
import { during, foreign } from "./context.ts";
import { checkedSize, decodeTensor, ELEMENT_BYTES, encodeElements } from "./elements.ts";

/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
const ALIGNMENT = 8;
const METADATA = "__metadata__";

const NAMES: Readonly<Record<DType, string>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};
const DTYPES: ReadonlyMap<unknown, DType> = new Map(
  Object.entries(NAMES).map(([dtype, name]) => [name, dtype as DType]),
);

/** What a safetensors file holds. */
export interface Safetensors {
  /** Tensors by name, in the header's order. */
  readonly tensors: StateDict;
  /** The file's own facts about itself, strings by name. */
  readonly metadata: Record<string, string>;
}

interface Slot {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** Length of the header, or -1 where the first bytes are no plausible beginning of a safetensors file. */
function headerLength(bytes: Uint8Array): number {
  if (bytes.length < 10 || bytes[8] !== 0x7b) return -1;
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  return length <= MAX_HEADER_BYTES ? length : -1;
}

/** Whether `bytes` begin as a safetensors file does. */
export function isSafetensors(bytes: Uint8Array): boolean {
  return headerLength(bytes) >= 2;
}

function readHeader(bytes: Uint8Array): { readonly header: Record<string, unknown>; readonly start: number } {
  const length = headerLength(bytes);
  if (length < 2 || 8 + length > bytes.length) {
    throw new FormatError(
      length < 2
        ? `it does not begin with the length of a JSON header below ${MAX_HEADER_BYTES} bytes`
        : `its header takes ${length} bytes, but the file ends after ${bytes.length}; download the file again`,
    );
  }
  const header = foreign("its header is not JSON", () => {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length));
    return JSON.parse(text) as Record<string, unknown>;
  });
  return { header, start: 8 + length };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOffset(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function readSlot(name: string, value: unknown): Slot {
  const { dtype: type, shape, data_offsets: offsets } = isObject(value) ? value : {};
  const dtype = DTYPES.get(type);
  if (dtype === undefined) {
    throw new FormatError(
      `the tensor ${name} is of type ${JSON.stringify(type)}; one of ${[...DTYPES.keys()]} is required`,
    );
  }
  if (!Array.isArray(shape) || !Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isOffset)) {
    throw new FormatError(`the tensor ${name} lacks a shape or a pair of offsets`);
  }
  const size = checkedSize(shape, `the tensor ${name}`) * ELEMENT_BYTES[dtype];
  const [begin, end] = offsets as [number, number];
  if (end - begin !== size) {
    throw new FormatError(`the tensor ${name} takes ${size} bytes, but its offsets are ${begin} to ${end}`);
  }
  return { name, dtype, shape: shape as number[], begin, end };
}

/** The tensors must cover the file exactly: no holes, no overlaps, nothing behind them. */
function checkCover(slots: readonly Slot[], available: number): void {
  let at = 0;
  for (const { name, begin, end } of [...slots].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at) {
      throw new FormatError(
        `the tensor ${name} begins at byte ${begin} of the data; it must follow the one before, at ${at}`,
      );
    }
    at = end;
  }
  if (at !== available) {
    throw new FormatError(`its tensors take ${at} bytes, but the file holds ${available}; download the file again`);
  }
}

function readMetadata(value: unknown): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string")) {
    throw new FormatError(`its ${METADATA} is not an object of strings`);
  }
  return value as Record<string, string>;
}

function read(bytes: Uint8Array, budget: Budget): Safetensors {
  const { header, start } = readHeader(bytes);
  const slots = Object.entries(header).filter(([name]) => name !== METADATA).map(([name, slot]) =>
    readSlot(name, slot)
  );
  checkCover(slots, bytes.length - start);
  const tensors: StateDict = new Map();
  for (const { name, dtype, shape, begin, end } of slots) {
    tensors.set(name, decodeTensor(dtype, shape, bytes.subarray(start + begin, start + end), budget));
  }
  const own = Object.prototype.hasOwnProperty.call(header, METADATA) ? header[METADATA] : undefined;
  return { tensors, metadata: readMetadata(own) };
}

/**
 * Read a safetensors file. Tensors are views of `bytes` where their alignment allows it: copy before writing into one.
 * `name` stands in errors. Throws `FormatError` on a damaged, truncated or hostile header or an unknown element type.
 */
export function readSafetensors(bytes: Uint8Array, name = "the bytes"): Safetensors {
  return during(`Cannot read ${name} as safetensors`, () => read(bytes, budgetFor(bytes.length)));
}

/**
 * A safetensors file of `tensors` and `metadata`. The header keeps the order of `tensors`; the elements lie widest type
 * first, so that each tensor is aligned. `float16` and `bfloat16` are narrowed from float32, ties to even.
 *
 * Throws `TypeError` where a tensor's array fits neither its element type nor its shape, or a name is reserved.
 */
export function writeSafetensors(tensors: StateDict, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  if (tensors.has(METADATA)) {
    throw new TypeError(`Cannot write a tensor named ${METADATA}: the format reserves that name`);
  }
  const parts = [...tensors].map(([name, tensor]) => ({ name, tensor, bytes: encodeElements(tensor) }));
  const width = (part: { readonly tensor: HostTensor }): number => ELEMENT_BYTES[part.tensor.dtype];
  const placed = [...parts].sort((a, b) => width(b) - width(a));
  const offsets = new Map<string, number>();
  let size = 0;
  for (const { name, bytes } of placed) {
    offsets.set(name, size);
    size += bytes.length;
  }
  const entries = parts.map(({ name, tensor, bytes }): [string, unknown] => {
    const begin = offsets.get(name)!;
    return [name, { dtype: NAMES[tensor.dtype], shape: tensor.shape, data_offsets: [begin, begin + bytes.length] }];
  });
  if (Object.keys(metadata).length > 0) entries.unshift([METADATA, metadata]);
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const start = Math.ceil((8 + text.length) / ALIGNMENT) * ALIGNMENT;
  const out = new Uint8Array(start + size).fill(0x20, 0, start);
  new DataView(out.buffer).setBigUint64(0, BigInt(start - 8), true);
  out.set(text, 8);
  for (const { name, bytes } of parts) out.set(bytes, start + offsets.get(name)!);
  return out;
}
