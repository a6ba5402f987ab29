/**
 * Every reference of the form {@linkcode Twin}, by the name of the operation.
 *
 * @module
 */

import { arithmetic } from "./arithmetic.ts";
import { convTranspose2d } from "./conv_transpose2d.ts";
import { crossEntropyRows } from "./cross_entropy_rows.ts";
import { inverseCholesky } from "./inverse_cholesky.ts";
import { l2Normalise } from "./l2_normalise.ts";
import { layerNorm } from "./layer_norm.ts";
import { matmul } from "./matmul.ts";
import { concat, expand, gather, pad, slice, transpose } from "./movement.ts";
import { reduce } from "./reduce.ts";
import { resize } from "./resize.ts";
import { softmax } from "./softmax.ts";
import type { Twin } from "./twin.ts";
import { unary } from "./unary.ts";
import { where } from "./where.ts";

/** By the `config.op` of PyTorch's records, in camelCase. */
export const TENSOR_TWINS: Readonly<Record<string, Twin>> = {
  arithmetic,
  concat,
  convTranspose2d,
  crossEntropyRows,
  expand,
  gather,
  inverseCholesky,
  l2Normalise,
  layerNorm,
  matmul,
  pad,
  reduce,
  resize,
  slice,
  softmax,
  transpose,
  unary,
  where,
};
