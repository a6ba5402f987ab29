/**
 * Winograd's convolutions against direct ones on this adapter, in turns in one process: times, and errors against
 * float64. Prints the table of `results/winograd.md`; sizes of images as arguments pick some shapes.
 *
 * deno run -A tests/bench/winograd.ts [SIZE...]
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { Images } from "../../lib/gpu/images.ts";
import { bindingsOf, type Launch, prepareLaunch } from "../../lib/gpu/launch.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { scratch, storageOf, targetOf, type Tensor } from "../../lib/ops/operation.ts";
import type { Product, Variant } from "../../lib/ops/product.ts";
import { PhiloxSequence, Stream } from "../../lib/random/philox.ts";
import { sizeOf } from "../../lib/tensor.ts";
import { LaunchClock } from "../../lib/tuning/launch_clock.ts";

/** Images, their size, and channels in and out: 3x3 convolutions of ResNet-20, then of ResNet-18 and -50. */
const SHAPES: readonly (readonly [number, number, number, number])[] = [
  [64, 32, 3, 16],
  [64, 32, 16, 16],
  [64, 16, 32, 32],
  [64, 8, 64, 64],
  [4, 56, 64, 64],
  [4, 28, 128, 128],
  [4, 14, 256, 256],
  [4, 7, 512, 512],
];
const PARTS = ["output", "input gradient", "weight gradient"];
/** Rounds in which the variants take turns, of which the quickest counts, as other work can only slow one down. */
const ROUNDS = 7;
/** Elements of each result that are compared with float64. */
const SAMPLES = 256, GRADIENT_SAMPLES = 48;

type Numbers = Float32Array<ArrayBuffer>;

function normal(count: number, seed: number): Numbers {
  const random = new PhiloxSequence(seed, Stream.init);
  return Float32Array.from({ length: count }, () => random.normal());
}

/** Sums in float64: an element of the part, by its index. */
function exactOf(part: number, [n, size, cin, cout]: typeof SHAPES[number], [left, right]: readonly Numbers[]) {
  const [ck, cn] = part === 1 ? [cout, cin] : [cin, cout];
  const at = (image: Numbers, channels: number, b: number, y: number, x: number, c: number) =>
    y < 0 || x < 0 || y >= size || x >= size ? 0 : image[((b * size + y) * size + x) * channels + c];
  return (index: number): number => {
    const column = index % cn, row = Math.floor(index / cn);
    let sum = 0;
    if (part === 2) {
      const c = row % ck, tap = Math.floor(row / ck), dy = Math.floor(tap / 3) - 1, dx = tap % 3 - 1;
      for (let position = 0; position < n * size * size; position++) {
        const x = position % size, y = Math.floor(position / size) % size, b = Math.floor(position / size ** 2);
        sum += at(left, ck, b, y + dy, x + dx, c) * right[position * cn + column];
      }
      return sum;
    }
    const x = row % size, y = Math.floor(row / size) % size, b = Math.floor(row / size ** 2);
    const sign = part === 1 ? -1 : 1;
    for (let tap = 0; tap < 9; tap++) {
      const dy = sign * (Math.floor(tap / 3) - 1), dx = sign * (tap % 3 - 1);
      for (let c = 0; c < ck; c++) sum += at(left, ck, b, y + dy, x + dx, c) * right[(tap * ck + c) * cn + column];
    }
    return sum;
  };
}

function relativeError(found: Numbers, exact: ReadonlyMap<number, number>): number {
  let difference = 0, norm = 0;
  exact.forEach((value, index) => {
    difference += (found[index] - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

/** The three products of a convolution. */
function productsOf(gpu: Gpu, [n, size, cin, cout]: typeof SHAPES[number]): Product[] {
  const products: Product[] = [];
  const target = { ...targetOf(gpu, { training: true }), onProduct: (product: Product) => void products.push(product) };
  const operation = conv2d("conv", scratch("x", [n, size, size, cin]), scratch("w", [3, 3, cin, cout]), { padding: 1 });
  operation.forward(target);
  operation.backward(target, scratch("dOutput", operation.output.shape), ({ name, shape }) => ({
    tensor: scratch(`d ${name}`, shape),
    accumulate: false,
  }));
  return products;
}

interface Row {
  readonly name: string;
  readonly launches: readonly Launch[];
  readonly error: number;
  readonly times: number[];
}

/** The first variant of each method, which is what it suggests for the shape. */
function comparedOf({ variants }: Product): Variant[] {
  return ["strip", "winograd"].flatMap((method) => variants.find(({ name }) => name.startsWith(method)) ?? []);
}

async function measure(gpu: Gpu, clock: LaunchClock, shape: typeof SHAPES[number], part: number): Promise<Row[]> {
  const product = productsOf(gpu, shape)[part];
  const buffers = new Map<Tensor, GPUBuffer>();
  const bufferOf = (bound: Tensor) => {
    const tensor = storageOf(bound);
    if (!buffers.has(tensor)) buffers.set(tensor, gpu.createBuffer(tensor.name, 4 * sizeOf(tensor.shape)));
    return buffers.get(tensor)!;
  };
  try {
    const operands = product.operands.map((tensor, k) => {
      const numbers = normal(sizeOf(tensor.shape), k + 1);
      gpu.device.queue.writeBuffer(bufferOf(tensor), 0, numbers);
      return numbers;
    });
    const length = sizeOf(product.output.shape), sum = exactOf(part, shape, operands);
    const samples = Math.min(length, part === 2 ? GRADIENT_SAMPLES : SAMPLES);
    const indices = Array.from({ length: samples }, (_, k) => Math.floor((k + 0.5) * length / samples));
    const exact = new Map(indices.map((index) => [index, sum(index)]));
    const rows: Row[] = [];
    for (const variant of comparedOf(product)) {
      const launches: Launch[] = [];
      const dispatches = variant.lower();
      const ranges = dispatches.map(({ bindings }) =>
        bindings.map(bufferOf).map((buffer) => ({ buffer, offset: 0, size: buffer.size }))
      );
      const images = new Images(gpu, dispatches.map((dispatch, i) => bindingsOf(dispatch, ranges[i])));
      for (const [i, dispatch] of dispatches.entries()) {
        launches.push(await prepareLaunch(gpu, dispatch, ranges[i], images.ofLaunch(i)));
      }
      await clock.time(launches);
      const found = new Float32Array(await gpu.read(bufferOf(product.output)));
      rows.push({ name: variant.name, launches, error: relativeError(found, exact), times: [] });
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const row of rows) row.times.push(await clock.time(row.launches));
    }
    return rows;
  } finally {
    buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
  }
}

const gpu = await openGpu(), clock = new LaunchClock(gpu);
console.log("| convolution | part | kernel | ms | error | kernel | ms | error | gain |");
console.log("|---|---|---|---:|---:|---|---:|---:|---:|");
for (const shape of SHAPES) {
  const [n, size, cin, cout] = shape, name = `${n}x${size}x${size}, ${cin} to ${cout}`;
  if (Deno.args.length > 0 && !Deno.args.includes(`${size}`)) continue;
  for (const [part, what] of PARTS.entries()) {
    const rows = await measure(gpu, clock, shape, part);
    const cells = rows.flatMap((
      { name, times, error },
    ) => [name, Math.min(...times).toFixed(2), error.toExponential(1)]);
    const [direct, winograd] = rows.map(({ times }) => Math.min(...times));
    console.log(`| ${name} | ${what} | ${cells.join(" | ")} | ${(direct / winograd).toFixed(2)} |`);
  }
}
clock.destroy();
gpu.destroy();
