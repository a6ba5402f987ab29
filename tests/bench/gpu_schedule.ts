/**
 * What the tiles of the GPU schedule should reach, worked out from the code's own tables; nothing here is measured.
 *
 * deno run tests/bench/gpu_schedule.ts > tests/bench/results/gpu_schedule.md
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { buildClassifier } from "../../lib/models/classifier.ts";
import { PROCESSORS, threadsOf, type Tile, tileConstants, TILES, workgroupBytesOf } from "../../lib/ops/gemm_tile.ts";
import { packActivations, type Precision } from "../../lib/graph/precision.ts";
import { bytesOf, type Dispatch, type Target } from "../../lib/ops/operation.ts";

/** NVIDIA's datasheet of the H100 SXM: float32 outside the tensor cores, and memory. */
const FLOPS = 67e12, MEMORY_BYTES = 3.35e12;
/** Of one processor of compute capability 9.0 (CUDA C++ Programming Guide, table of technical specifications). */
const REGISTERS = 65536, WORKGROUP_MEMORY = 228 * 1024, THREADS = 2048, FLOPS_A_CYCLE = 256, LEAST_ALLOCATION = 1024;
/** Bytes of workgroup memory that a processor delivers in a cycle: 32 banks of 4. */
const BANK_BYTES = 128;
const WARP = 32;

type Kernel = "gather" | "weight gradient";

const thousands = (x: number) => Math.round(x).toLocaleString("en-US");
const percent = (x: number) => `${Math.round(100 * x)} %`;
const size = ({ bm, bn, bk }: Tile) => `${bm} x ${bn} x ${bk}`;

/** Vectors of the left operand that an invocation loads for one tile. */
function leftLoads(tile: Tile, kernel: Kernel): number {
  const slots = kernel === "gather" ? tile.bm * tile.bk / 16 : tile.bm * tile.bk / 4;
  return Math.ceil(slots / threadsOf(tile)) * (kernel === "gather" ? 4 : 1);
}

/** Sums, operands of one term, the next tile, addresses (4 a row of the left operand, 2 a vector of the right), rest. */
function registersOf(tile: Tile, kernel: Kernel): number {
  const left = leftLoads(tile, kernel), right = tileConstants(tile).RIGHT_LOADS;
  return tile.tm * tile.tn + tile.tm + tile.tn + 4 * (left + right) + 4 * left + 2 * right + 16;
}

/** Workgroups that a processor holds at once. */
function residentOf(tile: Tile, kernel: Kernel): number {
  const threads = threadsOf(tile);
  const registers = Math.ceil(registersOf(tile, kernel) / 8) * 8 * threads;
  const memory = workgroupBytesOf(tile) + LEAST_ALLOCATION;
  return Math.min(Math.floor(REGISTERS / registers), Math.floor(WORKGROUP_MEMORY / memory), THREADS / threads);
}

/** Share of issued instructions that are multiply-adds; integer arithmetic on addresses is not counted. */
function issueShare(tile: Tile, kernel: Kernel): number {
  const products = tile.tm * tile.tn * tile.bk;
  const reads = (tile.tm + tile.tn) / 4 * tile.bk;
  const exchange = 2 * (leftLoads(tile, kernel) + tileConstants(tile).RIGHT_LOADS);
  return products / (products + reads + exchange);
}

/** Cycles of the banks over cycles of the arithmetic, for one term of a warp; lanes that read one address share it. */
function bankShare({ bn, tm, tn }: Tile): number {
  const columns = Math.min(WARP, bn / tn), rows = WARP / columns;
  const cycles = (vectors: number, lanes: number) => vectors * Math.ceil(lanes * 16 / BANK_BYTES);
  return (cycles(tm / 4, rows) + cycles(tn / 4, columns)) / (tm * tn * WARP * 2 / FLOPS_A_CYCLE);
}

/** FLOP for a byte that a workgroup loads from memory or cache. */
function globalIntensity({ bm, bn }: Tile): number {
  return 2 * bm * bn / (4 * (bm + bn));
}

/** FLOP for a byte that invocations read from the workgroup's memory. */
function workgroupIntensity({ tm, tn }: Tile): number {
  return 2 * tm * tn / (4 * (tm + tn));
}

function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map((_, i) => i === 0 ? "---" : "---:")), ...rows.map(line)].join("\n");
}

function tileTable(kernel: Kernel): string {
  const heads = [
    "tile",
    "threads",
    "registers",
    "workgroup memory, bytes",
    "workgroups a processor",
    "occupancy",
    "FLOP/byte, global",
    "FLOP/byte, workgroup",
    "bank cycles",
    "multiply-adds of instructions",
    "TFLOP/s, all from HBM",
    "TFLOP/s, from cache",
  ];
  return table(
    heads,
    TILES.map((tile) => {
      const resident = residentOf(tile, kernel), issue = issueShare(tile, kernel);
      const peak = FLOPS * issue * Math.min(1, 1 / bankShare(tile)) / 1e12;
      const fromMemory = Math.min(peak, globalIntensity(tile) * MEMORY_BYTES / 1e12);
      return [
        `${size(tile)}, ${tile.tm} x ${tile.tn} each`,
        threadsOf(tile),
        registersOf(tile, kernel),
        thousands(workgroupBytesOf(tile)),
        resident,
        percent(resident * threadsOf(tile) / THREADS),
        globalIntensity(tile).toFixed(1),
        workgroupIntensity(tile).toFixed(2),
        percent(bankShare(tile)),
        percent(issue),
        fromMemory.toFixed(0),
        peak.toFixed(0),
      ];
    }),
  );
}

/** A matrix product as it was lowered. */
interface Product {
  readonly kernel: string;
  /** Rows, columns, terms; products side by side. */
  readonly shape: readonly [number, number, number];
  readonly tile: Tile;
  readonly workgroups: number;
  readonly splits: number;
  /** Of all products side by side: additions and multiplications; elements read or written at least once. */
  readonly flops: number;
  readonly bytes: number;
}

function productOf({ label, constants: c, groups }: Dispatch): Product | undefined {
  const tile = TILES.find(({ bm, bn }) => bm === c.BM && bn === c.BN);
  if (tile === undefined) return undefined;
  const kernel = label.split(" ").slice(1).join(" ");
  const gradient = kernel === "weight gradient";
  const terms = c.KH * c.KW * c.CK;
  const images = (gradient ? c.ROWS / (c.OUTPUT_H * c.OUTPUT_W) : c.ROWS / (c.ROWS_H * c.ROWS_W)) * c.CKT;
  const read = images * c.SOURCE_H * c.SOURCE_W, weights = terms * c.CNT;
  const residues = c.RESIDUES ? c.STRIDE ** 2 : 1;
  const written = c.ROWS * residues * c.CNT;
  const splits = gradient ? groups[1] : c.SPLITS;
  const partials = splits > 1 ? 2 * splits + 1 : 1;
  return {
    kernel,
    shape: gradient ? [terms, c.CN, c.ROWS] : [c.ROWS, c.CN, Math.round(terms / residues)],
    tile,
    workgroups: gradient ? groups[0] * groups[1] * groups[2] : c.BLOCKS * groups[2],
    splits,
    flops: 2 * c.ROWS * terms * c.CNT,
    bytes: 4 * (read + written * (gradient ? 1 : partials) + weights * (gradient ? partials : 1)),
  };
}

const target: Target = { schedule: "gpu", subgroupSize: WARP, tiles: TILES, training: true };

/** Every matrix product of a training step, alike ones together. */
function productsOf(encoder: string, batch: number, side: number, numClasses: number): Map<string, Product[]> {
  const config = { encoder, numClasses, height: side, width: side };
  const { graph } = buildClassifier(config, batch, {});
  const products = [...lowerForward(graph, target), ...lowerBackward(graph, target)].flatMap((d) => productOf(d) ?? []);
  return Map.groupBy(products, ({ kernel, shape, bytes }) => `${kernel} ${shape} ${bytes}`);
}

/** What a forward pass moves where convolutions leave BatchNorm's statistics, and where a pass over outputs does it. */
function statisticsTable(networks: readonly (readonly [string, number, number])[]): string {
  const rows = networks.flatMap(([encoder, batch, side]) => {
    const { graph, totals } = buildClassifier({ encoder, numClasses: 1000, height: side, width: side }, batch, {});
    return (["f32", "mixed"] as const satisfies readonly Precision[]).map((precision) => {
      // Computing once more leaves no moments.
      const [apart, together] = [{ ...target, again: true }, target].map((way) => {
        const launches = [...lowerForward(graph, way), ...lowerBackward(graph, way)];
        const stored = precision === "mixed" ? packActivations(graph, launches, [totals]) : launches;
        const bytes = stored.flatMap(({ bindings }) => bindings).reduce((sum, tensor) => sum + bytesOf(tensor), 0);
        return { bytes, passes: stored.filter(({ kind }) => kind === "batchNorm statistics").length };
      });
      const saved = apart.bytes - together.bytes;
      return [
        `${encoder}, batch ${batch}, ${side} x ${side}`,
        precision,
        apart.passes,
        together.passes,
        thousands(saved / 1e6),
        percent(saved / apart.bytes),
        thousands(saved / MEMORY_BYTES * 1e6),
      ];
    });
  });
  const heads = ["network", "precision", "passes before", "passes", "MB saved", "of a step", "µs at the full rate"];
  return table(heads, rows);
}

/** Seconds at best: arithmetic with the processors that the last round of workgroups leaves idle, or memory. */
function secondsOf({ kernel, tile, workgroups, shape: [rows, columns], flops, bytes }: Product) {
  const rounds = Math.ceil(workgroups / PROCESSORS);
  const covered = Math.ceil(rows / tile.bm) * tile.bm * Math.ceil(columns / tile.bn) * tile.bn;
  const used = rows * columns / covered, busy = workgroups / (rounds * PROCESSORS);
  const issue = issueShare(tile, kernel === "weight gradient" ? "weight gradient" : "gather");
  return { used, busy, arithmetic: flops / (FLOPS * issue * used * busy), memory: bytes / MEMORY_BYTES };
}

function networkTable(encoder: string, batch: number, side: number, numClasses: number): string {
  let flops = 0, seconds = 0;
  const rows = [...productsOf(encoder, batch, side, numClasses).values()].map((alike) => {
    const product = alike[0];
    const { used, busy, arithmetic, memory } = secondsOf(product);
    const best = Math.max(arithmetic, memory);
    flops += alike.length * product.flops;
    seconds += alike.length * best;
    return [
      product.kernel,
      alike.length,
      product.shape.join(" x "),
      `${product.tile.bm} x ${product.tile.bn}`,
      product.workgroups,
      product.splits,
      percent(used),
      percent(busy),
      (product.flops / product.bytes).toFixed(0),
      arithmetic > memory ? "arithmetic" : "memory",
      (best * 1e6).toFixed(0),
      (product.flops / best / 1e12).toFixed(0),
    ];
  });
  const heads = [
    "kernel",
    "count",
    "rows x columns x terms",
    "tile",
    "workgroups",
    "splits",
    "tile used",
    "processors busy",
    "FLOP/byte",
    "bound",
    "µs at best",
    "TFLOP/s at best",
  ];
  const total =
    `All matrix products of a step: ${(flops / 1e9).toFixed(0)} GFLOP, ${(seconds * 1e3).toFixed(2)} ms at ` +
    `best, ${(flops / seconds / 1e12).toFixed(0)} TFLOP/s.`;
  return `## ${encoder}, batch ${batch}, ${side} x ${side}\n\n${total}\n\n${table(heads, rows)}`;
}

console.log(`# The schedule for discrete GPUs, reasoned

**Nothing on this page was measured on a GPU.** It follows from the tile table of \`lib/ops/gemm_tile.ts\` and from what
the compiler of graphs makes of two networks; \`deno run tests/bench/gpu_schedule.ts\` writes it. The device is an
H100 SXM by its datasheet: ${FLOPS / 1e12} TFLOP/s in float32, ${MEMORY_BYTES / 1e12} TB/s, ${PROCESSORS} processors.

- _registers_: of an invocation, estimated; the driver decides. They limit the workgroups that a processor holds.
- _FLOP/byte, global_: of what a workgroup loads, from memory or cache. _workgroup_: of what invocations read from the
  workgroup's memory; the banks deliver less, as lanes that read one address share it: _bank cycles_ are theirs over the
  arithmetic's, and below 100 % the arithmetic is the bound.
- _multiply-adds of instructions_: the rest are reads of the workgroup's memory and the exchange of tiles; integer
  arithmetic on addresses is not counted.
- _TFLOP/s, from cache_: the bound where the caches deliver; _all from HBM_: where nothing is found in them. Workgroups
  that run together share rows, so the truth lies between.
- _at best_ in the second part: arithmetic at the tile's share of the peak, with idle parts of tiles and idle processors
  of the last round taken off; or each operand moved once at the memory's full rate. Real kernels stay below.

## Output and input gradient (\`conv2d_tile.wgsl\`)

${tileTable("gather")}

## Weight gradient (\`conv2d_weight_gradient_tile.wgsl\`)

${tileTable("weight gradient")}

## Statistics in the epilogue

A convolution in front of a BatchNorm leaves count, mean and M2 of its columns over each block of rows, from the sums in
its registers; \`combine_moments.wgsl\` and \`batch_norm_finalize.wgsl\` put the blocks together. What it saves is a pass
over each activation. Bytes count each tensor once for each launch that binds it; those of the moments are taken off, and
whole steps stand behind the share. Convolutions that split their reduction keep the pass.

${statisticsTable([["resnet50", 64, 224], ["resnet20", 128, 32]])}

${networkTable("resnet50", 64, 224, 1000)}

${networkTable("resnet20", 128, 32, 10)}`);
