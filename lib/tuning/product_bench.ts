/**
 * Variants of a product on the device: their numbers against the default's, and their times.
 *
 * @module
 */

import compareSource from "../../kernels/tuning_compare.wgsl" with { type: "text" };
import elementwiseSource from "../../kernels/elementwise.wgsl" with { type: "text" };
import fillSource from "../../kernels/tuning_fill.wgsl" with { type: "text" };
import workgroupSumSource from "../../kernels/workgroup_sum.wgsl" with { type: "text" };
import { DeviceLostError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { Images } from "../gpu/images.ts";
import { bindingsOf, type BufferRange, type Launch, prepareLaunch, submitLaunches } from "../gpu/launch.ts";
import { shapeLoop } from "../ops/elementwise.ts";
import { storageOf, type Tensor } from "../ops/operation.ts";
import type { Product, Variant } from "../ops/product.ts";
import { sizeOf } from "../tensor.ts";
import type { LaunchClock } from "./launch_clock.ts";
import { type ProductBench, RejectedVariant } from "./search.ts";

/**
 * Relative error, norm against norm, that two orders of summation may differ by: a float32 rounding of 6e-8 for each of
 * some thousand terms that are added up one after another. One wrong element in 10^9 is further off.
 */
const TOLERANCE = 1e-5;

const whole = (buffer: GPUBuffer): BufferRange => ({ buffer, offset: 0, size: buffer.size });

/** A product's operands, filled with numbers, and what its default variant makes of them. */
export class DeviceProductBench implements ProductBench {
  readonly #gpu: Gpu;
  readonly #product: Product;
  readonly #clock: LaunchClock;
  /** Operands and output. */
  readonly #buffers = new Map<Tensor, GPUBuffer>();
  #expected: GPUBuffer | undefined;
  #sums: GPUBuffer | undefined;
  #fillOutput!: Launch;
  #compare!: Launch;
  #known = false;

  private constructor(gpu: Gpu, product: Product, clock: LaunchClock) {
    this.#gpu = gpu;
    this.#product = product;
    this.#clock = clock;
  }

  /**
   * Fills the operands.
   *
   * @throws RejectedVariant where the device has no memory for them
   */
  static async open(gpu: Gpu, product: Product, clock: LaunchClock): Promise<DeviceProductBench> {
    const bench = new DeviceProductBench(gpu, product, clock);
    try {
      await rejecting(gpu, () => bench.#prepare());
      return bench;
    } catch (error) {
      bench.destroy();
      throw error;
    }
  }

  /** See {@linkcode ProductBench.time}. The default variant must come first. */
  async time(variant: Variant): Promise<number> {
    const scratch = new Map<Tensor, GPUBuffer>();
    let images: Images | undefined;
    try {
      return await rejecting(this.#gpu, async () => {
        const launches: Launch[] = [], dispatches = variant.lower();
        const ranges = dispatches.map(({ bindings }) =>
          bindings.map((tensor) => whole(this.#buffers.get(storageOf(tensor)) ?? this.#bufferOf(scratch, tensor)))
        );
        images = new Images(this.#gpu, dispatches.map((dispatch, i) => bindingsOf(dispatch, ranges[i])));
        for (const [i, dispatch] of dispatches.entries()) {
          launches.push(await prepareLaunch(this.#gpu, dispatch, ranges[i], images.ofLaunch(i)));
        }
        await this.#requireEqual(launches);
        return await this.#clock.time(launches);
      });
    } finally {
      scratch.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
      images?.destroy();
    }
  }

  /** Frees the device memory. */
  destroy(): void {
    [...this.#buffers.values(), this.#expected, this.#sums].forEach((buffer) =>
      buffer && this.#gpu.destroyBuffer(buffer)
    );
  }

  get #output(): GPUBuffer {
    return this.#buffers.get(storageOf(this.#product.output))!;
  }

  #bufferOf(buffers: Map<Tensor, GPUBuffer>, bound: Tensor): GPUBuffer {
    const tensor = storageOf(bound);
    let buffer = buffers.get(tensor);
    if (buffer === undefined) {
      buffer = this.#gpu.createBuffer(tensor.name, 4 * sizeOf(tensor.shape));
      buffers.set(tensor, buffer);
    }
    return buffer;
  }

  async #prepare(): Promise<void> {
    for (const tensor of [...this.#product.operands, this.#product.output]) this.#bufferOf(this.#buffers, tensor);
    const { constants, groups, blocks } = shapeLoop({ count: this.#output.size / 4 });
    const expected = this.#expected = this.#gpu.createBuffer("expected product", this.#output.size);
    const sums = this.#sums = this.#gpu.createBuffer("difference of products", 8 * blocks);
    const fills: Launch[] = [];
    for (const buffer of this.#buffers.values()) fills.push(await this.#fill(buffer, fills.length));
    this.#submit(fills);
    this.#fillOutput = fills[[...this.#buffers.values()].indexOf(this.#output)];
    this.#compare = await prepareLaunch(this.#gpu, {
      label: "difference of products",
      source: workgroupSumSource + elementwiseSource + compareSource,
      constants: { ...constants, BLOCKS: blocks },
      groups,
    }, [this.#output, expected, sums].map(whole));
  }

  #fill(buffer: GPUBuffer, seed: number): Promise<Launch> {
    const { constants, groups } = shapeLoop({ count: buffer.size / 4 });
    const source = elementwiseSource + fillSource;
    const kernel = { label: `fill ${buffer.label}`, source, constants: { ...constants, SEED: seed }, groups };
    return prepareLaunch(this.#gpu, kernel, [whole(buffer)]);
  }

  /** Runs a variant once; the first one's output is what others must give. */
  async #requireEqual(launches: readonly Launch[]): Promise<void> {
    // The output holds other numbers before: an element that is not written differs, one that is added to does not.
    this.#submit([this.#fillOutput, ...launches]);
    if (!this.#known) {
      const encoder = this.#gpu.device.createCommandEncoder({ label: "expected product" });
      encoder.copyBufferToBuffer(this.#output, 0, this.#expected!, 0, this.#output.size);
      this.#gpu.device.queue.submit([encoder.finish()]);
      this.#known = true;
      return;
    }
    this.#submit([this.#compare]);
    const sums = new Float32Array(await this.#gpu.read(this.#sums!));
    let difference = 0, norm = 0;
    for (let i = 0; i < sums.length; i += 2) {
      difference += sums[i];
      norm += sums[i + 1];
    }
    const error = difference === 0 ? 0 : Math.sqrt(difference / norm);
    if (!(error <= TOLERANCE)) {
      throw new RejectedVariant(`its numbers differ from the default's by ${error.toExponential(1)}`);
    }
  }

  #submit(launches: readonly Launch[]): void {
    submitLaunches(this.#gpu, "product", launches);
  }
}

/** Runs `work`; what the device refuses of it rejects the variant, and does not fail the device for others. */
async function rejecting<T>(gpu: Gpu, work: () => Promise<T>): Promise<T> {
  gpu.check();
  gpu.device.pushErrorScope("out-of-memory");
  gpu.device.pushErrorScope("validation");
  let result: T | undefined, failure: unknown;
  try {
    result = await work();
  } catch (error) {
    failure = error;
  }
  const refused = [await gpu.device.popErrorScope(), await gpu.device.popErrorScope()].find((error) => error !== null);
  gpu.check();
  if (failure instanceof DeviceLostError || failure instanceof RejectedVariant) throw failure;
  if (refused) throw new RejectedVariant(refused.message.split("\n")[0]);
  if (failure !== undefined) throw new RejectedVariant((failure as Error).message);
  return result!;
}
