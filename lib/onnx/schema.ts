/**
 * The parts of ONNX's schema that are read, as protobuf.js gives them.
 *
 * @module
 */

import type { Numeric, TensorProto } from "../checkpoint/onnx_tensor.ts";

/** An attribute of a node. */
export interface AttributeProto {
  readonly name?: string | null;
  readonly type?: number | null;
  readonly f?: number | null;
  readonly i?: Numeric | null;
  readonly s?: Uint8Array | null;
  readonly t?: TensorProto | null;
  readonly floats?: readonly number[] | null;
  readonly ints?: readonly Numeric[] | null;
}

/** One operator of the graph. */
export interface NodeProto {
  readonly name?: string | null;
  readonly opType?: string | null;
  readonly domain?: string | null;
  readonly input?: readonly string[] | null;
  readonly output?: readonly string[] | null;
  readonly attribute?: readonly AttributeProto[] | null;
}

/** Name, element type and shape of an input or output; dynamic sizes have no `dimValue`. */
export interface ValueInfoProto {
  readonly name?: string | null;
  readonly type?: {
    readonly tensorType?: {
      readonly elemType?: number | null;
      readonly shape?: { readonly dim?: readonly { readonly dimValue?: Numeric | null }[] | null } | null;
    } | null;
  } | null;
}

/** Operators, initialisers, inputs and outputs. */
export interface GraphProto {
  readonly node?: readonly NodeProto[] | null;
  readonly initializer?: readonly TensorProto[] | null;
  readonly sparseInitializer?: readonly unknown[] | null;
  readonly input?: readonly ValueInfoProto[] | null;
  readonly output?: readonly ValueInfoProto[] | null;
}

/** A whole file. */
export interface ModelProto {
  readonly graph?: GraphProto | null;
  readonly metadataProps?: readonly { readonly key?: string | null; readonly value?: string | null }[] | null;
  readonly opsetImport?: readonly { readonly domain?: string | null; readonly version?: Numeric | null }[] | null;
}

/** A number; 64-bit integers past 2^53 are rounded. */
export function numberOf(value: Numeric | null | undefined): number {
  return Number((value ?? 0).toString());
}
