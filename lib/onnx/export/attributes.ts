/**
 * Attributes of nodes as ONNX's schema has them.
 *
 * @module
 */

import type { AttributeValue } from "../model.ts";
import { tensorProto, type TensorRecord } from "./tensors.ts";

/** `onnx.AttributeProto.AttributeType`. */
const FLOAT = 1, INT = 2, STRING = 3, TENSOR = 4, FLOATS = 6, INTS = 7;

/**
 * Attributes that hold floats, of all operators of opsets 11 and up: read values do not say, but the operators' schemas
 * have no integer attribute of these names.
 */
const FLOAT_NAMES: ReadonlySet<string> = new Set([
  "activation_alpha",
  "activation_beta",
  "alpha",
  "beta",
  "bias",
  "clip",
  "cubic_coeff_a",
  "epsilon",
  "extrapolation_value",
  "gamma",
  "high",
  "lambd",
  "low",
  "max",
  "mean",
  "min",
  "momentum",
  "ratio",
  "scale",
  "spatial_scale",
  "value_float",
  "value_floats",
]);

/** A serialisable `onnx.AttributeProto`. */
export interface AttributeRecord {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly t?: TensorRecord;
  readonly floats?: number[];
  readonly ints?: number[];
}

/** An attribute to be written. */
export function attributeProto(name: string, value: AttributeValue): AttributeRecord {
  const isFloat = FLOAT_NAMES.has(name);
  if (typeof value === "object" && "unread" in value) {
    throw new TypeError(`Cannot write the attribute ${name}: its type ${value.unread} is none of numbers or tensors`);
  }
  if (typeof value === "string") return { name, type: STRING, s: new TextEncoder().encode(value) };
  if (typeof value === "number") return isFloat ? { name, type: FLOAT, f: value } : { name, type: INT, i: value };
  if ("data" in value) return { name, type: TENSOR, t: tensorProto("", value) };
  return isFloat ? { name, type: FLOATS, floats: [...value] } : { name, type: INTS, ints: [...value] };
}
