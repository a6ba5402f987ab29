/**
 * Every reference of the form {@linkcode Twin}, by the name of the operation.
 *
 * @module
 */

import { arithmetic } from "./arithmetic.ts";
import { layerNorm } from "./layer_norm.ts";
import { matmul } from "./matmul.ts";
import { concat, expand, gather, pad, slice, transpose } from "./movement.ts";
import { reduce } from "./reduce.ts";
import { softmax } from "./softmax.ts";
import type { Twin } from "./twin.ts";
import { unary } from "./unary.ts";
import { where } from "./where.ts";

/** By the `config.op` of PyTorch's records, in camelCase. */
export const TENSOR_TWINS: Readonly<Record<string, Twin>> = {
  arithmetic,
  concat,
  expand,
  gather,
  layerNorm,
  matmul,
  pad,
  reduce,
  slice,
  softmax,
  transpose,
  unary,
  where,
};
