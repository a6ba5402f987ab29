/**
 * Nearest neighbours among labelled features: similarities on the device in float32, block by block, and of the few that
 * may be the largest once more in float64. What is predicted does not depend on the device.
 *
 * @module
 */

import {
  type LabelledFeatures,
  nearestOf,
  type NeighbourOptions,
  Shortlist,
  unitRows,
  vote,
} from "../evaluation/nearest_neighbours.ts";
import type { Gpu } from "../gpu/device.ts";
import { submitLaunches } from "../gpu/launch.ts";
import { Graph, lowerForward } from "../graph/graph.ts";
import { compile, planProgram, type Program } from "../graph/program.ts";
import { linear } from "../ops/linear.ts";
import { targetOf, type Tensor } from "../ops/operation.ts";
import { sizeOf } from "../tensor.ts";

/** Examples and queries whose similarities are read at once: 8 MiB. */
const BLOCK = { examples: 2048, queries: 1024 } as const;

/** Rows of features. */
interface Rows {
  /** [count, width] */
  readonly features: Float32Array<ArrayBuffer>;
  readonly count: number;
}

/**
 * The class of each query by a vote of its nearest neighbours, [queries]; `numClasses`, which is none, where its features
 * are not numbers. Waits for the device.
 *
 * @throws TypeError where features are of another width or number than labels say
 * @throws RangeError where there is nothing to compare
 */
export async function neighbourClasses(
  gpu: Gpu,
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  options: NeighbourOptions,
): Promise<Uint32Array> {
  const { neighbours = 20 } = options, size = bank.labels.length, count = queries.labels.length;
  const width = requireComparable(bank, queries, neighbours);
  const known = { features: unitRows(bank.features, width), count: size };
  const asked = { features: unitRows(queries.features, width), count };
  const k = Math.min(neighbours, size), classes = new Uint32Array(count);
  const products = await BlockProducts.create(gpu, blockSizes(width, size, count));
  try {
    for (let start = 0; start < count; start += products.queries) {
      const end = Math.min(count, start + products.queries);
      const shortlist = new Shortlist(end - start, width, k);
      products.ask(asked, start, end);
      for (let first = 0; first < size; first += products.examples) {
        await products.offer(known, first, shortlist);
      }
      for (let query = start; query < end; query++) {
        const row = asked.features.subarray(query * width, (query + 1) * width);
        const nearest = nearestOf(row, known.features, shortlist.candidates(query - start), k);
        classes[query] = vote(nearest, bank.labels, options);
      }
    }
  } finally {
    products.destroy();
  }
  return classes;
}

/** Share of the queries whose class {@linkcode neighbourClasses} finds, 0 to 1; errors as there. */
export async function neighbourAccuracy(
  gpu: Gpu,
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  options: NeighbourOptions,
): Promise<number> {
  const classes = await neighbourClasses(gpu, bank, queries, options);
  const right = classes.reduce((sum, found, query) => sum + (found === queries.labels[query] ? 1 : 0), 0);
  return right / classes.length;
}

/** The width of both, which must be one. */
function requireComparable(bank: LabelledFeatures, queries: LabelledFeatures, neighbours: number): number {
  const size = bank.labels.length, count = queries.labels.length;
  if (size === 0 || count === 0 || neighbours < 1) {
    throw new RangeError(
      `Cannot find ${neighbours} neighbours of ${count} examples among ${size}: at least one of each is required`,
    );
  }
  const width = bank.features.length / size;
  if (!Number.isInteger(width) || queries.features.length !== width * count) {
    throw new TypeError(
      `Cannot compare features: found ${bank.features.length} numbers of ${size} examples and ` +
        `${queries.features.length} of ${count}, but rows of one width are required`,
    );
  }
  return width;
}

/** Sizes of a block of products. */
interface BlockSizes {
  readonly width: number;
  readonly examples: number;
  readonly queries: number;
}

/** The sizes of the blocks of so many examples and queries. */
function blockSizes(width: number, examples: number, queries: number): BlockSizes {
  return { width, examples: Math.min(BLOCK.examples, examples), queries: Math.min(BLOCK.queries, queries) };
}

function buildProducts({ width, examples, queries }: BlockSizes) {
  const graph = new Graph();
  const known = graph.external("known features", [examples, width]);
  const asked = graph.external("asked features", [width, queries]);
  return { graph, known, asked, products: graph.apply(linear("similarities", known, asked)) };
}

/** Bytes that {@linkcode neighbourClasses} would allocate on the device meanwhile; allocates nothing. */
export function estimateNeighbours(gpu: Gpu, width: number, examples: number, queries: number): number {
  const { graph, known, asked, products } = buildProducts(blockSizes(width, examples, queries));
  const { bytes } = planProgram(gpu, lowerForward(graph, targetOf(gpu, { training: false })), [products]);
  return bytes + 4 * (sizeOf(known.shape) + sizeOf(asked.shape));
}

/** The products of a block of examples with a block of queries, on the device. */
class BlockProducts {
  readonly examples: number;
  readonly queries: number;
  readonly #gpu: Gpu;
  readonly #width: number;
  readonly #program: Program;
  readonly #products: Tensor;
  readonly #buffers: { readonly known: GPUBuffer; readonly asked: GPUBuffer };
  /** [width, queries] */
  readonly #columns: Float32Array<ArrayBuffer>;

  private constructor(
    gpu: Gpu,
    { width, examples, queries }: BlockSizes,
    program: Program,
    products: Tensor,
    buffers: { readonly known: GPUBuffer; readonly asked: GPUBuffer },
  ) {
    this.examples = examples;
    this.queries = queries;
    this.#gpu = gpu;
    this.#width = width;
    this.#program = program;
    this.#products = products;
    this.#buffers = buffers;
    this.#columns = new Float32Array(width * queries);
  }

  static async create(gpu: Gpu, sizes: BlockSizes): Promise<BlockProducts> {
    const { graph, known, asked, products } = buildProducts(sizes);
    const buffers = {
      known: gpu.createBuffer(known.name, 4 * sizeOf(known.shape)),
      asked: gpu.createBuffer(asked.name, 4 * sizeOf(asked.shape)),
    };
    const program = await compile(gpu, lowerForward(graph, targetOf(gpu, { training: false })), {
      label: "similarities",
      vectors: {},
      externals: new Map([[known, buffers.known], [asked, buffers.asked]]),
      keep: [products],
    });
    return new BlockProducts(gpu, sizes, program, products, buffers);
  }

  /** Sets the queries `start` to `end` - 1, at most a block. */
  ask({ features }: Rows, start: number, end: number): void {
    const width = this.#width, columns = this.#columns, { queries } = this;
    for (let query = 0; query < end - start; query++) {
      for (let i = 0; i < width; i++) columns[i * queries + query] = features[(start + query) * width + i];
    }
    this.#gpu.device.queue.writeBuffer(this.#buffers.asked, 0, columns);
  }

  /** Offers what the examples from `first` on have in common with the queries, at most a block. Waits for the device. */
  async offer({ features, count }: Rows, first: number, shortlist: Shortlist): Promise<void> {
    const valid = Math.min(this.examples, count - first), width = this.#width;
    this.#gpu.device.queue.writeBuffer(this.#buffers.known, 0, features, first * width, valid * width);
    submitLaunches(this.#gpu, "similarities", this.#program.launches);
    const { buffer, offset } = this.#program.rangeOf(this.#products), bytes = 4 * this.queries;
    const products = new Float32Array(await this.#gpu.read(buffer, offset, valid * bytes));
    for (let row = 0; row < valid; row++) {
      shortlist.offer(first + row, products.subarray(row * this.queries, (row + 1) * this.queries));
    }
  }

  destroy(): void {
    this.#program.destroy();
    this.#gpu.destroyBuffer(this.#buffers.known);
    this.#gpu.destroyBuffer(this.#buffers.asked);
  }
}
