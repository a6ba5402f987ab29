/**
 * MATLAB's files of version 5 (`.mat`, "MAT-File Format", MathWorks): the numeric arrays, texts and structures in which
 * Oxford's flowers and ImageNet keep their labels.
 *
 * @module
 */

import { FormatError } from "../errors.ts";

/** A variable, or a field of a structure. Elements are in MATLAB's order, column by column. */
export type MatArray =
  | { readonly kind: "numeric"; readonly shape: readonly number[]; readonly values: Float64Array }
  | { readonly kind: "text"; readonly shape: readonly number[]; readonly text: string }
  | { readonly kind: "struct"; readonly shape: readonly number[]; readonly elements: readonly MatFields[] };

/** The fields of one element of a structure array, by name. */
export type MatFields = ReadonlyMap<string, MatArray>;

const HEADER_BYTES = 128;
/** The most bytes that a variable may inflate to: the label files inflate to some hundreds of kilobytes. */
const MAX_INFLATED = 64 * 2 ** 20;
/** Structures in structures. */
const MAX_DEPTH = 8;
const MI_MATRIX = 14, MI_COMPRESSED = 15, MI_UTF8 = 16, MI_UTF16 = 17;
const CLASS_STRUCT = 2, CLASS_CHAR = 4, CLASS_DOUBLE = 6, CLASS_UINT64 = 15;

type Getter = (view: DataView, at: number, little: boolean) => number;

/** Storage types: bytes of an element and how one is read. */
const STORAGE: Readonly<Record<number, readonly [number, Getter]>> = {
  1: [1, (view, at) => view.getInt8(at)],
  2: [1, (view, at) => view.getUint8(at)],
  3: [2, (view, at, little) => view.getInt16(at, little)],
  4: [2, (view, at, little) => view.getUint16(at, little)],
  5: [4, (view, at, little) => view.getInt32(at, little)],
  6: [4, (view, at, little) => view.getUint32(at, little)],
  7: [4, (view, at, little) => view.getFloat32(at, little)],
  9: [8, (view, at, little) => view.getFloat64(at, little)],
  12: [8, (view, at, little) => Number(view.getBigInt64(at, little))],
  13: [8, (view, at, little) => Number(view.getBigUint64(at, little))],
};

interface Element {
  readonly type: number;
  readonly start: number;
  readonly size: number;
  /** Where the next element starts. */
  readonly next: number;
}

/** Elements one after another. */
class Cursor {
  readonly view: DataView;
  at = 0;

  constructor(readonly bytes: Uint8Array, readonly little: boolean) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  take(): Element {
    if (this.at + 8 > this.bytes.length) throw cutShort(this.at, this.bytes.length);
    const word = this.view.getUint32(this.at, this.little);
    // A small element keeps its size in the upper half of the first word and its data in the second.
    const small = word >>> 16 !== 0;
    const size = small ? word >>> 16 : this.view.getUint32(this.at + 4, this.little);
    const type = small ? word & 0xffff : word;
    const start = this.at + (small ? 4 : 8);
    if (small && size > 4 || start + size > this.bytes.length) throw cutShort(start + size, this.bytes.length);
    // Compressed elements are not padded.
    const next = small ? this.at + 8 : type === MI_COMPRESSED ? start + size : start + Math.ceil(size / 8) * 8;
    this.at = next;
    return { type, start, size, next };
  }

  numbers({ type, start, size }: Element): Float64Array {
    const storage = STORAGE[type];
    if (storage === undefined) throw new FormatError(`an element is of the unknown storage type ${type}`);
    const [width, get] = storage;
    return Float64Array.from({ length: size / width }, (_, i) => get(this.view, start + i * width, this.little));
  }

  text(element: Element): string {
    const { type, start, size } = element;
    if (type === MI_UTF8) return new TextDecoder().decode(this.bytes.subarray(start, start + size));
    const units = type === MI_UTF16 ? this.numbers({ ...element, type: 4 }) : this.numbers(element);
    return Array.from(units, (unit) => String.fromCharCode(unit)).join("");
  }

  inside({ start, size }: Element): Cursor {
    return new Cursor(this.bytes.subarray(start, start + size), this.little);
  }
}

/**
 * Reads the variables of a MATLAB file, compressed or not, by name; cells, sparse arrays and objects are left out.
 *
 * @param name what to call the bytes in an error
 * @throws {FormatError} if the bytes are no such file, are damaged or cut short
 */
export async function readMat(bytes: Uint8Array, name = "the bytes"): Promise<ReadonlyMap<string, MatArray>> {
  try {
    return await readVariables(bytes);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new FormatError(`Cannot read ${name} as a MATLAB file: ${cause.message}`, { cause });
  }
}

async function readVariables(bytes: Uint8Array): Promise<ReadonlyMap<string, MatArray>> {
  const mark = String.fromCharCode(...bytes.subarray(126, 128));
  if (bytes.length < HEADER_BYTES || (mark !== "IM" && mark !== "MI")) {
    throw new FormatError("it does not begin as files of MATLAB 5 do");
  }
  const cursor = new Cursor(bytes.subarray(HEADER_BYTES), mark === "IM");
  const variables = new Map<string, MatArray>();
  while (!cursor.done) {
    const element = cursor.take();
    const found = element.type === MI_COMPRESSED
      ? inflated(new Cursor(await inflate(cursor.inside(element).bytes), cursor.little))
      : element.type === MI_MATRIX
      ? readMatrix(cursor.inside(element), 0)
      : undefined;
    if (found !== undefined) variables.set(found.name, found.array);
  }
  return variables;
}

function inflated(cursor: Cursor): ReturnType<typeof readMatrix> {
  const element = cursor.take();
  return element.type === MI_MATRIX ? readMatrix(cursor.inside(element), 0) : undefined;
}

/** One variable, or `undefined` where it is of a class that is not read. */
function readMatrix(cursor: Cursor, depth: number): { name: string; array: MatArray } | undefined {
  const type = cursor.numbers(cursor.take())[0] & 0xff;
  const shape = [...cursor.numbers(cursor.take())];
  const name = cursor.text(cursor.take());
  const count = shape.reduce((product, size) => product * size, 1);
  if (shape.length < 2 || !shape.every((size) => Number.isInteger(size) && size >= 0) || count > cursor.bytes.length) {
    throw new FormatError(`the array "${name}" states the shape [${shape}], more than its bytes can hold`);
  }
  if (type === CLASS_STRUCT) {
    return { name, array: { kind: "struct", shape, elements: readFields(cursor, count, depth) } };
  }
  if (type === CLASS_CHAR) return { name, array: { kind: "text", shape, text: cursor.text(cursor.take()) } };
  if (type < CLASS_DOUBLE || type > CLASS_UINT64) return undefined;
  const values = count === 0 && cursor.done ? new Float64Array() : cursor.numbers(cursor.take());
  if (values.length !== count) {
    throw new FormatError(`the array "${name}" of shape [${shape}] has ${values.length} elements`);
  }
  return { name, array: { kind: "numeric", shape, values } };
}

function readFields(cursor: Cursor, count: number, depth: number): MatFields[] {
  if (depth >= MAX_DEPTH) throw new FormatError(`structures are nested more than ${MAX_DEPTH} deep`);
  const length = cursor.numbers(cursor.take())[0];
  const packed = cursor.text(cursor.take());
  const names = Array.from(
    { length: length > 0 ? packed.length / length : 0 },
    (_, i) => packed.slice(i * length, (i + 1) * length).replace(/\0.*$/s, ""),
  );
  return Array.from({ length: count }, () => {
    const fields = new Map<string, MatArray>();
    for (const name of names) {
      const element = cursor.take();
      const found = element.size === 0 ? undefined : readMatrix(cursor.inside(element), depth + 1);
      if (found !== undefined) fields.set(name, found.array);
    }
    return fields;
  });
}

/** Inflates zlib data, up to {@linkcode MAX_INFLATED}. */
async function inflate(packed: Uint8Array): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    const stream = new Blob([packed as Uint8Array<ArrayBuffer>]).stream().pipeThrough(
      new DecompressionStream("deflate"),
    );
    for await (const part of stream) {
      size += part.length;
      if (size > MAX_INFLATED) break;
      parts.push(part);
    }
  } catch (cause) {
    throw new FormatError(`its compressed data are damaged (${(cause as Error).message})`, { cause });
  }
  if (size > MAX_INFLATED) throw new FormatError(`a variable inflates to more than ${MAX_INFLATED} bytes`);
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) whole.set(part, at), at += part.length;
  return whole;
}

function cutShort(end: number, length: number): FormatError {
  return new FormatError(`an element ends at byte ${end} of ${length}, so it is cut short or damaged`);
}
