/**
 * NumPy's files: `.npy`, one array, and `.npz`, a zip archive of arrays by name.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { DType, HostTensor, StateDict } from "../tensor.ts";
import { type Budget, budgetFor } from "./budget.ts";
import { during } from "./context.ts";
import { checkedSize, decodeTensor, ELEMENT_BYTES, encodeElements, viewRaw } from "./elements.ts";
import { gatherTensor } from "./strided.ts";
import { readEntry, readZip } from "./zip.ts";
import { writeZip } from "./zip_writer.ts";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const ALIGNMENT = 64;

const DESCRIPTIONS: Readonly<Partial<Record<DType, string>>> = {
  float64: "<f8",
  float32: "<f4",
  float16: "<f2",
  int64: "<i8",
  int32: "<i4",
  int16: "<i2",
  int8: "|i1",
  uint8: "|u1",
  bool: "|b1",
};
const DTYPES: ReadonlyMap<string, DType> = new Map(
  Object.entries(DESCRIPTIONS).map(([dtype, description]) => [description, dtype as DType]),
);

/** What a `.npy` file says of its array. */
export interface NpyHeader {
  /** Element type. */
  readonly dtype: DType;
  /** Sizes of its axes. */
  readonly shape: readonly number[];
  /** Elements are in column-major order. */
  readonly fortran: boolean;
  /** Byte at which the elements start. */
  readonly start: number;
}

function parseHeader(text: string): Omit<NpyHeader, "start"> {
  const description = /'descr': *'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order': *(True|False)/.exec(text)?.[1];
  const sizes = /'shape': *\(([\d, ]*)\)/.exec(text)?.[1];
  if (description === undefined || order === undefined || sizes === undefined) {
    throw new FormatError(
      `its header is ${JSON.stringify(text.slice(0, 80))}; descr, fortran_order and shape are required`,
    );
  }
  const dtype = DTYPES.get(description);
  if (dtype === undefined) {
    throw new FormatError(
      `its elements are of type '${description}'; one of ${[...DTYPES.keys()].join(" ")} is required`,
    );
  }
  return {
    dtype,
    fortran: order === "True",
    shape: sizes.split(",").map((size) => size.trim()).filter(Boolean).map(Number),
  };
}

/** Where the header's text and the elements start. */
function locate(bytes: Uint8Array): { readonly header: string; readonly start: number } {
  if (bytes.length < 12 || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new FormatError("it does not begin as a NumPy array does");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = bytes[6] === 1 ? 10 : 12;
  const start = at + (bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (bytes[6] < 1 || bytes[6] > 3 || start > bytes.length) {
    throw new FormatError(
      `its header of version ${bytes[6]} ends at byte ${start} of ${bytes.length}; download the file again`,
    );
  }
  return { header: new TextDecoder().decode(bytes.subarray(at, Math.min(start, at + 0x10000))), start };
}

function readHeader(bytes: Uint8Array): NpyHeader {
  const { header, start } = locate(bytes);
  return { ...parseHeader(header), start };
}

/**
 * The header of a `.npy` file from its first bytes (64 KiB hold any that NumPy writes), for files of which a part is
 * wanted. Throws `FormatError` where it is damaged.
 */
export function readNpyHeader(bytes: Uint8Array, name = "the bytes"): NpyHeader {
  return during(`Cannot read ${name} as a NumPy array`, () => readHeader(bytes));
}

function read(bytes: Uint8Array, budget: Budget): HostTensor {
  const { dtype, shape, fortran, start } = readHeader(bytes);
  const size = checkedSize(shape, "the array") * ELEMENT_BYTES[dtype];
  if (size !== bytes.length - start) {
    throw new FormatError(
      `an array of shape [${shape}] takes ${size} bytes, but the file holds ${bytes.length - start}; download it again`,
    );
  }
  const data = bytes.subarray(start);
  if (!fortran || size === 0) return decodeTensor(dtype, shape, data, budget);
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, n) => product * n, 1));
  return gatherTensor(dtype, viewRaw(dtype, data, budget), shape, strides, budget);
}

/**
 * Read a `.npy` file: little-endian floats, integers and booleans in C or Fortran order, the result always row-major.
 * It may be a view of `bytes`. `name` stands in errors. Throws `FormatError` on anything else.
 */
export function readNpy(bytes: Uint8Array, name = "the bytes"): HostTensor {
  return during(`Cannot read ${name} as a NumPy array`, () => read(bytes, budgetFor(bytes.length)));
}

/**
 * A `.npy` file of version 1.0, row-major. Throws `TypeError` on bfloat16, which NumPy does not have, and where the
 * tensor's array fits neither its element type nor its shape.
 */
export function writeNpy(tensor: HostTensor): Uint8Array {
  const description = DESCRIPTIONS[tensor.dtype];
  if (description === undefined) {
    throw new TypeError(`Cannot write a ${tensor.dtype} tensor for NumPy, which has no such type: use float32`);
  }
  const data = encodeElements(tensor);
  const shape = tensor.shape.length === 1 ? `${tensor.shape[0]},` : tensor.shape.join(", ");
  const text = `{'descr': '${description}', 'fortran_order': False, 'shape': (${shape}), }`;
  const start = Math.ceil((10 + text.length + 1) / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(start + data.length).fill(0x20, 10, start);
  bytes.set([...MAGIC, 1, 0, (start - 10) & 0xff, (start - 10) >>> 8]);
  bytes.set(new TextEncoder().encode(text), 10);
  bytes[start - 1] = 0x0a;
  bytes.set(data, start);
  return bytes;
}

/** Read a `.npz` file, stored or compressed: arrays by name, in the archive's order. Throws `FormatError`. */
export function readNpz(bytes: Uint8Array, name = "the bytes"): StateDict {
  return during(`Cannot read ${name} as an archive of NumPy arrays`, () => {
    const archive = readZip(bytes);
    const arrays: StateDict = new Map();
    for (const entry of archive.entries.values()) {
      if (!entry.name.endsWith(".npy")) throw new FormatError(`its entry ${entry.name} is not an array (.npy)`);
      const array = entry.name.slice(0, -4);
      arrays.set(array, during(`in ${entry.name}`, () => read(readEntry(archive, entry), archive.budget)));
    }
    return arrays;
  });
}

/** A `.npz` file that `numpy.load` opens, uncompressed as `numpy.savez` writes it. Throws as {@linkcode writeNpy}. */
export function writeNpz(arrays: StateDict): Uint8Array {
  return writeZip([...arrays].map(([name, tensor]) => ({ name: `${name}.npy`, data: writeNpy(tensor) })));
}
