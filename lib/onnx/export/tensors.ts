/**
 * Tensors as ONNX's schema has them, in the model's file or in one beside it.
 *
 * @module
 */

import { ELEMENT_BYTES, encodeElements } from "../../checkpoint/elements.ts";
import { onnxTypeOf } from "../../checkpoint/onnx_tensor.ts";
import { type HostTensor, sizeOf, type StateDict } from "../../tensor.ts";

/** `onnx.TensorProto.DataLocation`. */
const EXTERNAL = 1;
/** Tensors from this size on lie in the other file: shapes and axes, which runtimes look at early, stay in the model. */
const LEAST_EXTERNAL_BYTES = 1024;
/** Tensors begin on pages, so that a runtime can map the file. */
const PAGE_BYTES = 4096;

/** A serialisable `onnx.TensorProto`. */
export interface TensorRecord {
  readonly name: string;
  readonly dims: number[];
  readonly dataType: number;
  readonly rawData?: Uint8Array;
  readonly dataLocation?: number;
  readonly externalData?: { readonly key: string; readonly value: string }[];
}

/** Bytes of a tensor's elements. */
export function byteSizeOf({ dtype, shape }: HostTensor): number {
  return ELEMENT_BYTES[dtype] * sizeOf(shape);
}

/** A tensor to be written with its elements. */
export function tensorProto(name: string, tensor: HostTensor): TensorRecord {
  return { name, dims: [...tensor.shape], dataType: onnxTypeOf(tensor.dtype), rawData: encodeElements(tensor) };
}

/** Tensors to be written, the larger ones with their elements in another file. */
export interface ExternalTensors {
  readonly records: TensorRecord[];
  /** That file. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Lays the larger tensors out in a file of the name `location` beside the model. */
export function externalTensors(tensors: ReadonlyMap<string, HostTensor>, location: string): ExternalTensors {
  const placed = new Map<string, number>();
  let end = 0;
  for (const [name, tensor] of tensors) {
    if (byteSizeOf(tensor) < LEAST_EXTERNAL_BYTES) continue;
    const offset = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;
    placed.set(name, offset);
    end = offset + byteSizeOf(tensor);
  }
  const data = new Uint8Array(end);
  const records = [...tensors as StateDict].map(([name, tensor]): TensorRecord => {
    const offset = placed.get(name);
    if (offset === undefined) return tensorProto(name, tensor);
    data.set(encodeElements(tensor), offset);
    const range = { location, offset, length: byteSizeOf(tensor) };
    const externalData = Object.entries(range).map(([key, value]) => ({ key, value: String(value) }));
    const dims = [...tensor.shape], dataType = onnxTypeOf(tensor.dtype);
    return { name, dims, dataType, dataLocation: EXTERNAL, externalData };
  });
  return { records, data };
}
