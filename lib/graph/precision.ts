/**
 * Mixed precision (Micikevicius et al., arXiv 1710.03740): outputs of operations and their gradients are stored as f16,
 * two to a word, where every kernel that meets them takes whole words. Arithmetic, parameters and their gradients,
 * statistics, partial sums, logits and losses stay f32.
 *
 * @module
 */

import { declaredBindings } from "../../kernels/bindings.ts";
import { expand } from "../../kernels/template.ts";
import { type Dispatch, storageOf, type Tensor } from "../ops/operation.ts";
import type { Graph } from "./graph.ts";
import { rebind } from "./recompute.ts";

/**
 * How activations and their gradients are stored.
 * - `f32`: as computed
 * - `mixed`: f16 where possible; training multiplies the loss, so that small gradients do not vanish
 */
export type Precision = "f32" | "mixed";

/** Numbers in an item of each binding, as the kernel declares it. */
function itemWidths({ source, constants, floats, bindings }: Dispatch): number[] {
  // Declarations stand before the entry point, and the rest is long.
  const declared = declaredBindings(expand(source.split("@compute")[0], constants, floats));
  return bindings.map((_, index) => declared.get(index)?.width ?? 0);
}

/**
 * The same launches with outputs of the graph's operations, their gradients and second computations stored as f16.
 * A tensor stays f32 where some launch takes single numbers of it: two invocations would write to one word.
 *
 * @param keep tensors that the host reads: they stay f32
 */
export function packActivations(graph: Graph, dispatches: readonly Dispatch[], keep: readonly Tensor[]): Dispatch[] {
  const outputs = new Set(graph.operations.map(({ output }) => storageOf(output)));
  const excluded = new Set(keep.map(storageOf));
  const packed = new Map<Tensor, Tensor>();
  for (const dispatch of dispatches) {
    const widths = itemWidths(dispatch);
    dispatch.bindings.map(storageOf).forEach((tensor, index) => {
      if (tensor.role !== "scratch" || !outputs.has(tensor.activation ?? tensor)) return;
      if (widths[index] < 2) excluded.add(tensor);
      else if (!packed.has(tensor)) packed.set(tensor, { ...tensor, elements: "f16" });
    });
  }
  excluded.forEach((tensor) => packed.delete(tensor));
  return dispatches.map((dispatch) => rebind(dispatch, packed));
}
