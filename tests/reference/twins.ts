/**
 * Every reference of the form {@linkcode Twin}, by the name that PyTorch's records have for the operation.
 *
 * @module
 */

import { arithmetic } from "./arithmetic.ts";
import { concat, expand, pad, slice, transpose } from "./movement.ts";
import { reduce } from "./reduce.ts";
import type { Twin } from "./twin.ts";
import { unary } from "./unary.ts";

/** By `config.op`. */
export const TENSOR_TWINS: Readonly<Record<string, Twin>> = {
  arithmetic,
  concat,
  expand,
  pad,
  reduce,
  slice,
  transpose,
  unary,
};
