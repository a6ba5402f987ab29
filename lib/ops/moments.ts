/**
 * Moments of an activation's channels over blocks of its rows: what batch statistics are combined from.
 *
 * @module
 */

import combineSource from "../../kernels/combine_moments.wgsl" with { type: "text" };
import momentsSource from "../../kernels/moments.wgsl" with { type: "text" };
import { loop, widthOf } from "./elementwise.ts";
import { type Dispatch, type Operation, scratch, type Target, type Tensor } from "./operation.ts";
import { lowerProduct, type Product, variantOf } from "./product.ts";

/** Blocks that one invocation walks through in order. */
const MOST_BLOCKS = 64;

/** Count, mean and M2 (sum of squared deviations) of each channel, by blocks of rows. */
export interface Moments {
  readonly blocks: number;
  /** Mean and M2: [blocks, 2, C]. */
  readonly partial: Tensor;
  /** Rows of each block: [blocks]. */
  readonly counts: Tensor;
}

/** An operation that leaves moments of its output. */
export interface MomentsSource extends Operation {
  /** Where a lowering for this target leaves them; `undefined` where it leaves none. */
  moments(target: Target): Moments | undefined;
}

/** Moments of `channels` channels, in tensors of their own. */
export function createMoments(name: string, blocks: number, channels: number): Moments {
  return {
    blocks,
    partial: scratch(`${name} moments`, [blocks, 2, channels]),
    counts: scratch(`${name} counts`, [blocks]),
  };
}

/**
 * An operation whose output is a matrix product, leaving the output's moments in training, where the way in which the
 * product is computed can: before the output is rounded, where it is stored as f16.
 */
export function leavingMoments(operation: Operation, productOf: (target: Target) => Product): MomentsSource {
  // Made once for each number of blocks, not with each lowering: the normalisation asks for what the product binds.
  const known = new Map<number, Moments>();
  const moments = (target: Target): Moments | undefined => {
    if (!target.training || target.again) return undefined;
    const { blocks } = variantOf(target, productOf(target));
    if (blocks === undefined) return undefined;
    const { name, shape } = operation.output;
    const found = known.get(blocks) ?? createMoments(name, blocks, shape[shape.length - 1]);
    known.set(blocks, found);
    return found;
  };
  const source: MomentsSource = {
    ...operation,
    forward: (target) => lowerProduct(target, productOf(target), moments(target)),
    leaveMoments: () => source,
    moments,
  };
  return source;
}

/** Bindings of a launch that reads or writes moments. */
export function bindingsOf({ partial, counts }: Moments): readonly Tensor[] {
  return [partial, counts];
}

/** The launch that combines many blocks to about the root of their number; none where they are few. */
export function combineBlocks(label: string, moments: Moments): { dispatches: Dispatch[]; moments: Moments } {
  const { blocks, partial } = moments;
  if (blocks <= MOST_BLOCKS) return { dispatches: [], moments };
  const channels = partial.shape[2], width = widthOf(channels);
  const partBlocks = Math.ceil(Math.sqrt(blocks)), parts = Math.ceil(blocks / partBlocks);
  const combined = createMoments(label, parts, channels);
  const dispatch = loop({
    label,
    source: momentsSource + combineSource,
    count: parts * (channels / width),
    width,
    items: 1,
    constants: { C: channels, BLOCKS: blocks, PART_BLOCKS: partBlocks },
    bindings: [...bindingsOf(moments), ...bindingsOf(combined)],
  });
  return { dispatches: [dispatch], moments: combined };
}
