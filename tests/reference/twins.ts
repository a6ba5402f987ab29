/**
 * Every reference of the form {@linkcode Twin}, by the name of the operation.
 *
 * @module
 */

import { arithmetic } from "./arithmetic.ts";
import { crossEntropyRows } from "./cross_entropy_rows.ts";
import { l2Normalise } from "./l2_normalise.ts";
import { layerNorm } from "./layer_norm.ts";
import { concat, expand, pad, slice, transpose } from "./movement.ts";
import { reduce } from "./reduce.ts";
import { softmax } from "./softmax.ts";
import type { Twin } from "./twin.ts";
import { unary } from "./unary.ts";

/** By the `config.op` of PyTorch's records, in camelCase. */
export const TENSOR_TWINS: Readonly<Record<string, Twin>> = {
  arithmetic,
  concat,
  crossEntropyRows,
  expand,
  l2Normalise,
  layerNorm,
  pad,
  reduce,
  slice,
  softmax,
  transpose,
  unary,
};
