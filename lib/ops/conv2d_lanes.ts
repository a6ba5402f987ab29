/**
 * Convolutions on a CPU adapter, whatever their stride: matrix products whose lanes share operands.
 *
 * @module
 */

import operandsSource from "../../kernels/operands.wgsl" with { type: "text" };
import gatherSource from "../../kernels/conv2d.wgsl" with { type: "text" };
import outputSource from "../../kernels/gather_output.wgsl" with { type: "text" };
import orderSource from "../../kernels/workgroup_order.wgsl" with { type: "text" };
import weightGradientSource from "../../kernels/conv2d_weight_gradient.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { reducePartials } from "./column_sum.ts";
import { flopsOf, type GatherOperands, type Geometry, type GradientOperands, sidesOf } from "./conv2d_geometry.ts";
import { columnWidth, columnWidths, lanesOf, orderOf, readAsImages, worthLongText } from "./gemm.ts";
import { bindingsOf, type Moments } from "./moments.ts";
import { type Dispatch, scratch, type Target } from "./operation.ts";
import { distinct, type Variant } from "./product.ts";

/** Rows of the output that one workgroup owns, where there are many and where there are few. */
const ROWS_PER_GROUP = 32;
const FEW_ROWS_PER_GROUP = 16;
const MANY_ROWS = 1024;
/** Fewest rows that fill the larger tiles of a longer text well enough. */
const LEAST_ROWS_OF_LONG = 64;
/**
 * Lanes along the reduction, the best number first: more make the text longer, which costs more than their wider loads
 * save (`tests/bench/results/autotune.md`). Through workgroup memory they save barriers.
 */
const LANES_ALONG = { subgroups: [1, 2, 4], shared: [4, 2, 1] };
/** Sums of a lane above which kernel texts grow too long. More sums load less often for each product. */
const MOST_SUMS = 64;
/** Taps times input channels that one workgroup of the weight gradient owns at most; the usual number of a long text. */
const MOST_GRADIENT_ROWS = 32;
/** Workgroups that the weight gradient aims for, and the fewest positions worth a split of their own. */
const WEIGHT_GRADIENT_GROUPS = [256, 512, 128];
const LEAST_SPLIT_ROWS = 256;

/** MR rows and NR times NV columns to a lane; KL lanes along the reduction. See `conv2d.wgsl`. */
interface LaneTile {
  readonly MR: number;
  readonly NR: number;
  readonly NV: number;
  readonly KL: number;
}

/** Rows of the product, which are output positions of one residue class modulo the stride, and how many classes there are. */
function rowsOf({ n, stride, kh, kw }: Geometry, to: { h: number; w: number }, inputGradient: boolean) {
  const residues = inputGradient ? stride : 1;
  const rowsH = Math.ceil(to.h / residues), rowsW = Math.ceil(to.w / residues);
  // A single tap meets one class alone.
  const classes = kh * kw === 1 ? 1 : residues ** 2;
  return { residues, classes, rowsH, rowsW, rows: n * rowsH * rowsW };
}

/** Rows and blocks of columns of a workgroup. Two blocks share the loads of their rows. */
function usualSums(rows: number, columnBlocks: number, long: boolean): Pick<LaneTile, "MR" | "NR"> {
  if (long && rows >= LEAST_ROWS_OF_LONG) return { MR: MOST_SUMS / columnBlocks, NR: columnBlocks };
  if (rows >= MANY_ROWS) return { MR: ROWS_PER_GROUP, NR: 1 };
  return { MR: FEW_ROWS_PER_GROUP, NR: columnBlocks };
}

/** Ways to compute an output, or an input gradient from the output's. */
export function laneGather(label: string, geometry: Geometry, target: Target, operands: GatherOperands): Variant[] {
  const { to, ck, cn } = sidesOf(geometry, operands.inputGradient);
  const { rows, residues } = rowsOf(geometry, to, operands.inputGradient);
  const { S, SUBGROUPS } = lanesOf(target.subgroupSize);
  const along = SUBGROUPS === 1 ? LANES_ALONG.subgroups : LANES_ALONG.shared;
  const [KL, ...otherKl] = along.filter((lanes) => (ck % 4 === 0 ? ck / 4 : ck) % lanes === 0);
  const [NV, ...narrower] = columnWidths(cn, S);
  const columnBlocks = cn > S * NV ? [1, 2] : [1];
  const long = SUBGROUPS === 1 && worthLongText(flopsOf(geometry));
  const { NR, ...sums } = usualSums(rows, SUBGROUPS === 1 ? columnBlocks.at(-1)! : 1, long);
  const MR = Math.max(sums.MR, S / KL);
  const usual = { MR, NR, NV, KL };
  const tiles: LaneTile[] = [
    usual,
    { ...usual, MR: MR / 2 },
    { ...usual, MR: 2 * MR },
    ...columnBlocks.filter((blocks) => blocks !== NR).flatMap((blocks) => [
      { ...usual, NR: blocks },
      { ...usual, NR: blocks, MR: MR * NR / blocks },
    ]),
    ...otherKl.map((lanes) => ({ ...usual, KL: lanes })),
    ...narrower.map((width) => ({ ...usual, NV: width })),
  ];
  const whole = (tile: LaneTile) => tile.MR % (S / tile.KL) === 0 && tile.MR * tile.NR <= MOST_SUMS;
  return distinct(
    tiles.filter((tile) => tile === usual || whole(tile)).map((tile) => ({
      name: `lanes ${tile.MR}x${tile.NR} by ${tile.NV}, ${tile.KL} along`,
      blocks: residues === 1 ? Math.ceil(rows / tile.MR) : undefined,
      lower: (moments) => [lowerGather(label, geometry, target, operands, tile, moments)],
    })),
  );
}

function lowerGather(
  label: string,
  geometry: Geometry,
  target: Target,
  { input, weight, output, bias, inputGradient, accumulate }: GatherOperands,
  tile: LaneTile,
  moments?: Moments,
): Dispatch {
  const { stride, groups } = geometry;
  const { from, to, ck, cn } = sidesOf(geometry, inputGradient);
  const { residues, classes, rowsH, rowsW, rows } = rowsOf(geometry, to, inputGradient);
  const lanes = lanesOf(target.subgroupSize);
  const blocks = Math.ceil(rows / tile.MR);
  const columnBlocks = Math.ceil(cn / (lanes.S * tile.NV * tile.NR));
  const weights = sizeOf(weight.shape);
  const order = orderOf({ blocks, columnBlocks: columnBlocks * groups, classes, weights });
  const sourceReads = geometry.kh * geometry.kw * rows * classes / (residues ** 2 * geometry.n * from.h * from.w);
  return {
    label,
    source: operandsSource + orderSource + outputSource + gatherSource,
    constants: {
      ...lanes,
      ...tile,
      AV: ck % 4 === 0 ? 4 : 1,
      CK: ck,
      CKT: ck * groups,
      CN: cn,
      CNT: cn * groups,
      G: groups,
      ...order.constants,
      COLUMN_BLOCKS: columnBlocks,
      KH: geometry.kh,
      KW: geometry.kw,
      STRIDE: stride,
      PAD: geometry.padding,
      DILATION: geometry.dilation,
      TAP_STEP: classes > 1 && geometry.dilation === 1 ? stride : 1,
      INPUT_GRADIENT: inputGradient ? 1 : 0,
      ONE_CLASS: classes < residues ** 2 ? 1 : 0,
      // Of positions that the tap meets: (residue + padding) % stride is 0.
      RESIDUE: (stride - geometry.padding % stride) % stride,
      ACCUMULATE: accumulate ? 1 : 0,
      PACK: 1,
      BIAS: bias ? 1 : 0,
      MOMENTS: moments ? 1 : 0,
      SOURCE_H: from.h,
      SOURCE_W: from.w,
      OUTPUT_H: to.h,
      OUTPUT_W: to.w,
      ROWS: rows,
      ROW_BLOCKS: blocks,
      ROWS_H: rowsH,
      ROWS_W: rowsW,
      ROW_STRIDE: inputGradient ? 1 : stride,
    },
    bindings: [input, weight, output, ...bias ? [bias] : [], ...moments ? bindingsOf(moments) : []],
    images: readAsImages(sourceReads * columnBlocks, blocks),
    groups: order.groups,
  };
}

/** How a weight gradient is cut up: TAPS x MR channels to a workgroup, parts of about so many workgroups. */
interface LaneGradientTile {
  readonly TAPS: number;
  readonly MR: number;
  readonly workgroups: number;
}

/** Ways to compute a weight gradient. */
export function laneWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  operands: GradientOperands,
): Variant[] {
  const ck = geometry.cin / geometry.groups;
  const long = target.subgroupSize > 0 && worthLongText(flopsOf(geometry));
  const channels = ck % 4 === 0
    ? [...long ? [MOST_GRADIENT_ROWS] : [], 16, 12, 8, 4]
    : [15, 13, 11, 9, 7, 5, 3, 14, 10, 6, 2, 1];
  const [MR, fewer] = channels.filter((size) => ck % size === 0);
  const [workgroups, ...lesser] = WEIGHT_GRADIENT_GROUPS;
  // Few channels, as those of an image, share the loads of d_output among all taps of a kernel row.
  const TAPS = MR === ck && MR * geometry.kw <= MOST_GRADIENT_ROWS ? geometry.kw : 1;
  const tiles: LaneGradientTile[] = [
    { TAPS, MR, workgroups },
    ...TAPS === 1 ? [] : [{ TAPS: 1, MR, workgroups }],
    ...fewer === undefined ? [] : [{ TAPS: 1, MR: fewer, workgroups }],
    ...lesser.map((fewerGroups) => ({ TAPS, MR, workgroups: fewerGroups })),
  ];
  return distinct(tiles.map((tile) => {
    const ranges = rangesOf(geometry, target, tile);
    return {
      name: `lanes ${tile.TAPS > 1 ? `${tile.TAPS}x` : ""}${tile.MR} in ${ranges.splits}`,
      lower: () => lowerWeightGradient(name, geometry, target, operands, tile, ranges),
    };
  }));
}

/** Ranges of output positions that make about as many workgroups as wanted. */
function rangesOf({ n, oh, ow, kh, kw, cin, cout, groups }: Geometry, target: Target, tile: LaneGradientTile) {
  const { S } = lanesOf(target.subgroupSize);
  const columnBlocks = Math.ceil(cout / groups / (S * columnWidth(cout / groups, S)));
  const rows = n * oh * ow;
  const groupsOfOneSplit = (kh * kw / tile.TAPS) * (cin / groups / tile.MR) * columnBlocks * groups;
  const wanted = Math.min(Math.ceil(tile.workgroups / groupsOfOneSplit), Math.ceil(rows / LEAST_SPLIT_ROWS));
  const splitRows = Math.ceil(rows / wanted / S) * S;
  return { columnBlocks, rows, splitRows, splits: Math.ceil(rows / splitRows) };
}

/** The product, then the sum of its parts where there are several. */
function lowerWeightGradient(
  name: string,
  geometry: Geometry,
  target: Target,
  { input, dOutput, slot }: GradientOperands,
  { TAPS, MR }: LaneGradientTile,
  { columnBlocks, rows, splitRows, splits }: ReturnType<typeof rangesOf>,
): Dispatch[] {
  const { h, w, cin, cout, kh, kw, oh, ow, groups } = geometry;
  const lanes = lanesOf(target.subgroupSize);
  const ck = cin / groups, cn = cout / groups;
  const NV = columnWidth(cn, lanes.S);
  const direct = splits === 1 && !slot.accumulate;
  const partial = direct ? slot.tensor : scratch(`${name} weight partials`, [splits, kh, kw, ck, cout]);
  const dispatch: Dispatch = {
    label: `${name} weight gradient`,
    source: operandsSource + weightGradientSource,
    constants: {
      ...lanes,
      AV: ck % 4 === 0 ? 4 : 1,
      TAPS,
      MR,
      NV,
      CK: ck,
      CKT: cin,
      CN: cn,
      CNT: cout,
      COLUMN_BLOCKS: columnBlocks,
      KH: kh,
      KW: kw,
      STRIDE: geometry.stride,
      PAD: geometry.padding,
      DILATION: geometry.dilation,
      SOURCE_H: h,
      SOURCE_W: w,
      OUTPUT_H: oh,
      OUTPUT_W: ow,
      ROWS: rows,
      SPLIT_ROWS: splitRows,
    },
    bindings: [input, dOutput, partial],
    images: readAsImages(kh * kw * oh * ow * columnBlocks / (h * w), kh * kw / TAPS * ck / MR),
    groups: [(kh * kw / TAPS) * (ck / MR), columnBlocks * groups, splits],
  };
  return direct ? [dispatch] : [dispatch, reducePartials(`${name} weight reduction`, partial, splits, slot)];
}
