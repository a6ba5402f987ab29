/**
 * The convolutions of ResNet-20, each direction by itself.
 *
 * @module
 */

import { submitLaunches } from "../../lib/gpu/launch.ts";
import { measurePeaks } from "../../lib/gpu/peaks.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { type PreparedOperation, prepareOperation, timeLaunches } from "./operation.ts";
import type { Context } from "./section.ts";
import { relativeError, requireClose } from "./statistics.ts";
import type { Cell, Table } from "./table.ts";

/** A 3x3 convolution with padding 1 on square images. */
interface Shape {
  readonly n: number;
  readonly size: number;
  readonly cin: number;
  readonly cout: number;
  readonly stride: number;
}

const BATCH = 64;
const SHAPES: readonly Omit<Shape, "n">[] = [
  { size: 32, cin: 3, cout: 16, stride: 1 },
  { size: 32, cin: 16, cout: 16, stride: 1 },
  { size: 32, cin: 16, cout: 32, stride: 2 },
  { size: 16, cin: 32, cout: 32, stride: 1 },
  { size: 16, cin: 32, cout: 64, stride: 2 },
  { size: 8, cin: 64, cout: 64, stride: 1 },
];
/** Elements of each result that are checked, and how far their float32 sums may be off. */
const SAMPLES = 24;
const TOLERANCE = 1e-5;

/** The sums of a convolution in float64, one at a time. */
function sumsOf({ n, size, cin, cout, stride }: Shape, values: ReadonlyMap<string, Float32Array>) {
  const out = size / stride;
  const [input, weight, dOutput] = ["input", "weight", "dOutput"].map((name) => values.get(name)!);
  const inputAt = (b: number, y: number, x: number, c: number) =>
    y < 0 || x < 0 || y >= size || x >= size ? 0 : input[((b * size + y) * size + x) * cin + c];
  const weightAt = (ky: number, kx: number, c: number, o: number) => weight[((ky * 3 + kx) * cin + c) * cout + o];
  const dOutputAt = (b: number, y: number, x: number, o: number) => dOutput[((b * out + y) * out + x) * cout + o];
  const taps = [0, 1, 2].flatMap((ky) => [0, 1, 2].map((kx) => [ky, kx]));
  const sum = (count: number, term: (i: number) => number) => {
    let total = 0;
    for (let i = 0; i < count; i++) total += term(i);
    return total;
  };
  return {
    "output": (i: number) => {
      const [b, y, x, o] = unravel(i, [out, out, cout]);
      return sum(cin, (c) =>
        sum(9, (t) => {
          const [ky, kx] = taps[t];
          return inputAt(b, y * stride + ky - 1, x * stride + kx - 1, c) * weightAt(ky, kx, c, o);
        }));
    },
    "d input": (i: number) => {
      const [b, y, x, c] = unravel(i, [size, size, cin]);
      return sum(9, (t) => {
        const [ky, kx] = taps[t];
        const oy = (y - ky + 1) / stride, ox = (x - kx + 1) / stride;
        if (!Number.isInteger(oy) || !Number.isInteger(ox) || Math.min(oy, ox) < 0 || Math.max(oy, ox) >= out) return 0;
        return sum(cout, (o) => dOutputAt(b, oy, ox, o) * weightAt(ky, kx, c, o));
      });
    },
    "d weight": (i: number) => {
      const [ky, kx, c, o] = unravel(i, [3, cin, cout]);
      return sum(
        n,
        (b) =>
          sum(
            out,
            (y) => sum(out, (x) => inputAt(b, y * stride + ky - 1, x * stride + kx - 1, c) * dOutputAt(b, y, x, o)),
          ),
      );
    },
  };
}

/** Index into each axis, of which the first one is not bounded. */
function unravel(index: number, sizes: readonly number[]): number[] {
  const indices: number[] = [];
  for (const size of sizes.toReversed()) {
    indices.unshift(index % size);
    index = Math.floor(index / size);
  }
  return [index, ...indices];
}

async function validate(shape: Shape, operation: PreparedOperation): Promise<void> {
  for (const [name, exact] of Object.entries(sumsOf(shape, operation.values))) {
    const found = await operation.read(name);
    const indices = Array.from({ length: SAMPLES }, (_, k) => Math.floor((k + 0.5) * found.length / SAMPLES));
    const error = relativeError(indices.map((i) => found[i]), indices.map(exact));
    requireClose(`${name} of a convolution`, error, TOLERANCE);
  }
}

/** The section. */
export async function convolutions({ gpu, effort, log }: Context): Promise<Table[]> {
  const peaks = await measurePeaks(gpu);
  const rows: Cell[][] = [];
  for (const partial of SHAPES) {
    const shape = { n: BATCH, ...partial };
    const { n, size, cin, cout, stride } = shape;
    const name = `${size}x${size}, ${cin} to ${cout}${stride > 1 ? `, stride ${stride}` : ""}`;
    log(`convolutions: ${name}`);
    const shapes = { input: [n, size, size, cin], weight: [3, 3, cin, cout] };
    const build = ({ input, weight }: Parameters<Parameters<typeof prepareOperation>[2]>[0]) =>
      conv2d("convolution", input, weight, { stride, padding: 1 });
    const operation = await prepareOperation(gpu, shapes, build, ["input", "weight"]);
    try {
      const parts = {
        "forward": operation.forward,
        "input gradient": operation.gradient("input"),
        "weight gradient": operation.gradient("weight"),
      };
      submitLaunches(gpu, name, Object.values(parts).flat());
      await validate(shape, operation);
      for (const [part, launches] of Object.entries(parts)) {
        const flops = launches.reduce((sum, launch) => sum + (launch.flops ?? 0), 0);
        const time = await timeLaunches(gpu, launches, effort.rounds);
        const rate = flops / time.median * 1000;
        rows.push([name, part, time, rate / 1e9, 100 * rate / peaks.flops]);
      }
    } finally {
      operation.destroy();
    }
  }
  return [{
    title: "Convolutions of ResNet-20",
    note: `3x3, batch ${BATCH}, device time with all launches of a direction (re-layout of weights and reduction of ` +
      `partial sums included); ${SAMPLES} elements of each result agree with float64 to ${TOLERANCE}. Peak: ` +
      `${(peaks.flops / 1e9).toFixed(1)} GFLOP/s of multiply-adds, measured in the same run.`,
    columns: ["convolution", "direction", "ms", "GFLOP/s", "% of peak"],
    rows,
  }];
}
