/**
 * Launches that multiply many pairs of matrices, neither of which is shared.
 *
 * @module
 */

import lanesSource from "../../kernels/matmul.wgsl" with { type: "text" };
import tileSource from "../../kernels/matmul_tile.wgsl" with { type: "text" };
import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import { foldGroups, GRID_X, widthOf } from "./elementwise.ts";
import { columnWidth, lanesOf, readAsImages } from "./gemm.ts";
import { blocksOf, tileConstants, tilePlans } from "./gemm_tile.ts";
import type { Dispatch, Target, Tensor } from "./operation.ts";

/** Rows that one workgroup owns, where there are many and where there are few. */
const ROWS_PER_GROUP = 32;
const FEW_ROWS_PER_GROUP = 16;
const MANY_ROWS = 1024;

/** Sizes of the products: `products` times an M x K matrix times a K x N matrix. */
export interface ProductSizes {
  readonly products: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** A matrix of each product. */
export interface Factor {
  readonly tensor: Tensor;
  /** Stored with its axes exchanged. */
  readonly transposed: boolean;
}

/** What a launch multiplies, and where the result goes. At most one factor is transposed. */
export interface ProductOperands {
  readonly left: Factor;
  readonly right: Factor;
  readonly output: Tensor;
  readonly accumulate: boolean;
}

/** The launch that writes `left * right` of each product to `output`, or adds it. */
export function matrixProduct(
  label: string,
  target: Target,
  sizes: ProductSizes,
  operands: ProductOperands,
): Dispatch {
  const { products, m, k, n } = sizes, { left, right, output, accumulate } = operands;
  const { constants, groups, images } = target.schedule === "gpu"
    ? tiled(target, sizes, operands)
    : lanes(target, sizes, operands);
  return {
    label,
    flops: 2 * products * m * k * n,
    source: target.schedule === "gpu" ? tileSource : operandsSource + lanesSource,
    constants: {
      ...constants,
      PRODUCTS: products,
      M: m,
      K: k,
      N: n,
      GRID_X,
      LEFT_TRANSPOSED: left.transposed ? 1 : 0,
      RIGHT_TRANSPOSED: right.transposed ? 1 : 0,
      ACCUMULATE: accumulate ? 1 : 0,
    },
    bindings: [left.tensor, right.tensor, output],
    images,
    groups,
  };
}

type Shape = Pick<Dispatch, "constants" | "groups" | "images">;

/** Constants of `matmul.wgsl`. */
function lanes(target: Target, { products, m, k, n }: ProductSizes, { left, right }: ProductOperands): Shape {
  const { S, SUBGROUPS } = lanesOf(target.subgroupSize);
  const AV = widthOf(left.transposed ? m : k);
  const KL = left.transposed ? 1 : [4, 2, 1].find((lanes) => (k / AV) % lanes === 0)!;
  const rows = m >= MANY_ROWS ? ROWS_PER_GROUP : FEW_ROWS_PER_GROUP;
  const MR = left.transposed ? rows : Math.max(rows, S / KL);
  const NV = right.transposed ? 1 : columnWidth(n, S);
  const rowBlocks = Math.ceil(m / MR);
  const [x, y] = foldGroups(rowBlocks * products);
  return {
    constants: {
      S,
      SUBGROUPS,
      AV,
      KL,
      TERMS: left.transposed ? S : KL * AV,
      MR,
      NV,
      ROW_BLOCKS: rowBlocks,
    },
    images: readAsImages(Math.ceil(n / (S * NV)), rowBlocks),
    groups: [x, y, Math.ceil(n / (S * NV))],
  };
}

/** Constants of `matmul_tile.wgsl`. */
function tiled(target: Target, { products, m, k, n }: ProductSizes, { left, right }: ProductOperands): Shape {
  const size = { rows: m, columns: n, terms: k, products };
  const { tile } = tilePlans(target.tiles, size).find(({ splits }) => splits === 1)!;
  const constants = tileConstants(tile);
  const blocks = blocksOf(tile, m, n);
  const loads = (edge: number) => Math.ceil((edge / 4) * (tile.bk / 4) / constants.THREADS);
  const [leftLines, leftLength] = left.transposed ? [k, m] : [m, k];
  const [rightLines, rightLength] = right.transposed ? [n, k] : [k, n];
  return {
    constants: {
      ...constants,
      LEFT_LOADS: loads(tile.bm),
      RIGHT_LOADS: loads(tile.bn),
      LEFT_LINES: leftLines,
      LEFT_LENGTH: leftLength,
      RIGHT_LINES: rightLines,
      RIGHT_LENGTH: rightLength,
      LV: widthOf(leftLength),
      RV: widthOf(rightLength),
      NV: widthOf(n),
      BLOCKS: blocks,
      COLUMN_BLOCKS: Math.ceil(n / tile.bn),
    },
    groups: foldGroups(blocks * products),
  };
}
