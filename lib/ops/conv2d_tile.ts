/**
 * Convolutions on a discrete GPU: matrix products in tiles that a workgroup shares.
 *
 * @module
 */

import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import gatherSource from "../../kernels/conv2d_tile.wgsl" with { type: "text" };
import outputSource from "../../kernels/gather_output.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/conv2d_weight_gradient_tile.wgsl" with { type: "text" };
import { reducePartials } from "./column_sum.ts";
import { type GatherOperands, type Geometry, type GradientOperands, sidesOf } from "./conv2d_geometry.ts";
import { foldGroups, GRID_X, widthOf } from "./elementwise.ts";
import { blocksOf, PROCESSORS, splitTiles, type Tile, tileConstants, type TilePlan, tilePlans } from "./gemm_tile.ts";
import { bindingsOf, type Moments } from "./moments.ts";
import { type Dispatch, scratch, type Target } from "./operation.ts";
import { distinct, type Variant } from "./product.ts";

/** Workgroups that the weight gradient aims for: one more split makes more partial sums to write and to read. */
const LEAST_WORKGROUPS = 2 * PROCESSORS, MOST_WORKGROUPS = 4 * PROCESSORS;
/** Fewest positions worth a split of their own. */
const LEAST_SPLIT_ROWS = 256;
/** Plans and tiles that a search tries, the default among them. */
const MOST_PLANS = 5, MOST_TILES = 3;

function nameOf({ bm, bn }: Tile, splits: number): string {
  return `${bm}x${bn}` + (splits === 1 ? "" : ` in ${splits}`);
}

/** Ways to compute an output, or an input gradient from the output's. */
export function tiledGather(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Variant[] {
  const { kh, kw, stride, groups } = geometry;
  const { to, ck, cn } = sidesOf(geometry, operands.inputGradient);
  const residues = operands.inputGradient ? stride : 1;
  const size = {
    rows: geometry.n * Math.ceil(to.h / residues) * Math.ceil(to.w / residues),
    columns: cn,
    terms: Math.ceil(kh * kw * ck / residues ** 2),
    products: groups * residues ** 2,
  };
  return tilePlans(target.tiles, size).slice(0, MOST_PLANS).map((plan) => ({
    name: nameOf(plan.tile, plan.splits),
    // Parts of sums have no moments, and blocks of residue classes are not counted here.
    blocks: plan.splits === 1 && residues === 1 ? Math.ceil(size.rows / plan.tile.bm) : undefined,
    lower: (moments) => lowerGather(label, geometry, operands, plan, moments),
  }));
}

/** The product, then the sum of its parts where there are several. */
function lowerGather(
  label: string,
  geometry: Geometry,
  operands: GatherOperands,
  { tile, splits }: TilePlan,
  moments?: Moments,
): Dispatch[] {
  const { n, kh, kw, stride, dilation, groups } = geometry;
  const { input, weight, output, bias, inputGradient, accumulate } = operands;
  const { from, to, ck, cn } = sidesOf(geometry, inputGradient);
  const residues = inputGradient ? stride : 1;
  const rowsH = Math.ceil(to.h / residues), rowsW = Math.ceil(to.w / residues), rows = n * rowsH * rowsW;
  const blocks = blocksOf(tile, rows, cn);
  const constants = tileConstants(tile);
  const [x, y] = foldGroups(blocks);
  const sum = splits === 1 ? output : scratch(`${label} partials`, [splits, ...output.shape]);
  const product: Dispatch = {
    label,
    source: operandsSource + outputSource + gatherSource,
    constants: {
      ...constants,
      LEFT_LOADS: Math.ceil((tile.bm / 4) * (tile.bk / 4) / constants.THREADS),
      AV: widthOf(ck),
      NV: widthOf(cn),
      CK: ck,
      CKT: ck * groups,
      CN: cn,
      CNT: cn * groups,
      G: groups,
      SPLITS: splits,
      CLASSES: residues ** 2,
      BLOCKS: blocks,
      COLUMN_BLOCKS: Math.ceil(cn / tile.bn),
      KH: kh,
      KW: kw,
      STRIDE: stride,
      PAD: geometry.padding,
      DILATION: dilation,
      TAP_STEP: stride / greatestCommonDivisor(stride, dilation),
      SOURCE_H: from.h,
      SOURCE_W: from.w,
      ROWS: rows,
      ROWS_H: rowsH,
      ROWS_W: rowsW,
      ROW_STRIDE: inputGradient ? 1 : stride,
      OUTPUT_H: to.h,
      OUTPUT_W: to.w,
      POSITIONS: n * to.h * to.w,
      GRID_X,
      WHOLE_TAPS: ck % tile.bk === 0 ? 1 : 0,
      INPUT_GRADIENT: inputGradient ? 1 : 0,
      RESIDUES: residues > 1 ? 1 : 0,
      ACCUMULATE: accumulate && splits === 1 ? 1 : 0,
      PACK: 1,
      BIAS: bias ? 1 : 0,
      MOMENTS: moments ? 1 : 0,
    },
    bindings: [input, weight, sum, ...bias ? [bias] : [], ...moments ? bindingsOf(moments) : []],
    groups: [x, y, groups * residues ** 2 * splits],
  };
  if (splits === 1) return [product];
  return [product, reducePartials(`${label} reduction`, sum, splits, { tensor: output, accumulate })];
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Splits of `rows` positions whose workgroups leave the fewest processors idle at the end. */
function wantedSplits(rows: number, blocks: number): number {
  const most = Math.min(Math.ceil(MOST_WORKGROUPS / blocks), Math.ceil(rows / LEAST_SPLIT_ROWS));
  const least = Math.min(Math.ceil(LEAST_WORKGROUPS / blocks), most);
  const timeOf = (splits: number) => Math.ceil(blocks * splits / PROCESSORS) / splits;
  let wanted = least;
  for (let splits = least + 1; splits <= most; splits++) if (timeOf(splits) < timeOf(wanted)) wanted = splits;
  return wanted;
}

/** About `wanted` ranges of `rows` positions, whole K tiles each. */
function rangesOf({ bk }: Tile, rows: number, wanted: number): { splitRows: number; splits: number } {
  const splitRows = Math.ceil(rows / wanted / bk) * bk;
  return { splitRows, splits: Math.ceil(rows / splitRows) };
}

/** Ways to compute a weight gradient. */
export function tiledWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  operands: GradientOperands,
): Variant[] {
  const { n, cin, cout, kh, kw, oh, ow, groups } = geometry;
  const taps = kh * kw * cin / groups, columns = cout / groups, rows = n * oh * ow;
  const most = Math.ceil(rows / LEAST_SPLIT_ROWS);
  const variants = splitTiles(target.tiles, taps, columns).slice(0, MOST_TILES).flatMap((tile) => {
    const wanted = wantedSplits(rows, blocksOf(tile, taps, columns) * groups);
    return [wanted, Math.ceil(wanted / 2), Math.min(2 * wanted, most)].map((splits) => {
      const ranges = rangesOf(tile, rows, splits);
      return {
        name: nameOf(tile, ranges.splits),
        lower: () => lowerWeightGradient(name, geometry, operands, tile, ranges),
      };
    });
  });
  return distinct(variants);
}

/** The product, then the sum of its parts where there are several. */
function lowerWeightGradient(
  name: string,
  geometry: Geometry,
  { input, dOutput, slot }: GradientOperands,
  tile: Tile,
  { splitRows, splits }: { readonly splitRows: number; readonly splits: number },
): Dispatch[] {
  const { n, h, w, cin, cout, kh, kw, oh, ow, stride, padding, groups } = geometry;
  const ck = cin / groups, cn = cout / groups;
  const blocks = blocksOf(tile, kh * kw * ck, cn);
  const direct = splits === 1 && !slot.accumulate;
  const partial = direct ? slot.tensor : scratch(`${name} weight partials`, [splits, kh, kw, ck, cout]);
  const constants = tileConstants(tile);
  const dispatch: Dispatch = {
    label: `${name} weight gradient`,
    source: operandsSource + weightGradientSource,
    constants: {
      ...constants,
      LEFT_LOADS: Math.ceil(tile.bk * tile.bm / 4 / constants.THREADS),
      AV: widthOf(ck),
      NV: widthOf(cn),
      CK: ck,
      CKT: cin,
      CN: cn,
      CNT: cout,
      COLUMN_BLOCKS: Math.ceil(cn / tile.bn),
      KH: kh,
      KW: kw,
      STRIDE: stride,
      PAD: padding,
      DILATION: geometry.dilation,
      SOURCE_H: h,
      SOURCE_W: w,
      OUTPUT_H: oh,
      OUTPUT_W: ow,
      ROWS: n * oh * ow,
      SPLIT_ROWS: splitRows,
      POINTWISE: kh === 1 && kw === 1 && stride === 1 && padding === 0 ? 1 : 0,
    },
    bindings: [input, dOutput, partial],
    groups: [blocks, splits, groups],
  };
  return direct ? [dispatch] : [dispatch, reducePartials(`${name} weight reduction`, partial, splits, slot)];
}
