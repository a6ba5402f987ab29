/**
 * Attention of several heads (Vaswani et al., arXiv 1706.03762), as transformers of images share it.
 *
 * @module
 */

import type { NetworkBuilder, Value } from "./builder.ts";

/**
 * Rows of values averaged by the softmax of scaled products of queries and keys, for each head.
 *
 * @param qkv [rows, 3 C]: queries, keys and values side by side
 * @param scored changes the scores [heads, rows, rows] before the softmax
 * @returns [rows, C]
 */
export function attention(
  builder: NetworkBuilder,
  name: string,
  qkv: Value,
  heads: number,
  scored: (scores: Value) => Value = (scores) => scores,
): Value {
  const [rows, width] = qkv.shape, channels = width / 3, perHead = channels / heads;
  const apart = builder.reshaped(`${name}.apart`, qkv, [rows, 3, heads, perHead]);
  const byHead = builder.transposed(`${name}.by_head`, apart, [1, 2, 0, 3]);
  const [queries, keys, values] = ["queries", "keys", "values"].map((key, i) =>
    builder.reshaped(`${name}.${key}`, builder.slice(`${name}.${key}.slice`, byHead, 0, i, i + 1), [
      heads,
      rows,
      perHead,
    ])
  );
  const scaled = builder.scaled(`${name}.scaled`, queries, perHead ** -0.5);
  const scores = builder.matmul(`${name}.scores`, scaled, builder.transposed(`${name}.turned`, keys, [0, 2, 1]));
  const weights = builder.softmax(`${name}.softmax`, scored(scores));
  const joined = builder.transposed(`${name}.joined`, builder.matmul(`${name}.averages`, weights, values), [1, 0, 2]);
  return builder.reshaped(`${name}.output`, joined, [rows, channels]);
}
