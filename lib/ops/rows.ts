/**
 * Launches of kernels that give each row of a tensor to one workgroup, whose lanes walk along it.
 *
 * @module
 */

import lanesSource from "../../kernels/lanes.wgsl" with { type: "text" };
import type { Constants } from "../../kernels/template.ts";
import { foldGroups, GRID_X, widthOf } from "./elementwise.ts";
import { lanesOf } from "./gemm.ts";
import type { Dispatch, Target, Tensor } from "./operation.ts";

/** What a row kernel needs. */
export interface RowOptions {
  readonly label: string;
  readonly source: string;
  readonly rows: number;
  /** Numbers in a row. */
  readonly length: number;
  readonly constants: Constants;
  readonly floats?: Constants;
  readonly bindings: readonly Tensor[];
}

/** The launch of a row kernel, to which `kernels/lanes.wgsl` is joined. */
export function overRows(target: Target, options: RowOptions): Dispatch {
  const { label, source, rows, length, constants, floats, bindings } = options;
  const W = widthOf(length);
  return {
    label,
    source: lanesSource + source,
    constants: { ...lanesOf(target.subgroupSize), W, ROWS: rows, LENGTH: length / W, GRID_X, ...constants },
    floats,
    bindings,
    groups: foldGroups(rows),
  };
}
