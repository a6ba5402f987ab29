/**
 * Passes over several flat vectors that leave one number for each workgroup.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { BufferRange } from "../gpu/launch.ts";
import { type FlatVector, segmentsOf } from "../graph/vector.ts";
import { type LoopLaunch, shapeLoop } from "../ops/elementwise.ts";

/** A segment of one of the vectors. */
export interface Part {
  readonly range: BufferRange;
  /** The launch over the segment, in vectors of 4. */
  readonly shape: LoopLaunch;
  /** Index of its first workgroup among those of all parts. */
  readonly firstBlock: number;
}

/** The segments of vectors, and how many workgroups they take together. */
export function partsOf(gpu: Gpu, vectors: readonly FlatVector[]): { parts: readonly Part[]; blocks: number } {
  const parts: Part[] = [];
  let blocks = 0;
  for (const vector of vectors) {
    for (const segment of segmentsOf(vector.layout, 1, gpu.maxBindingBytes)) {
      const shape = shapeLoop({ count: segment.length / 4, width: 4 });
      parts.push({ range: vector.segment(segment), shape, firstBlock: blocks });
      blocks += shape.blocks;
    }
  }
  return { parts, blocks };
}
