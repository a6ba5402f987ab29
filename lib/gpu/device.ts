/**
 * The device: which adapter, with which limits, and what became of it.
 *
 * @module
 */

import { type ImageFormat, TEXEL_BYTES } from "../../kernels/image.ts";
import { DeviceLostError, GpuValidationError, NoAdapterError, OutOfMemoryError } from "../errors.ts";
import type { TuningTable } from "./tuning_table.ts";

export type { ImageFormat };

/**
 * How matrix products are computed.
 * - `cpu`: operands shared within a subgroup, few loads, no workgroup memory where subgroups are there
 * - `gpu`: tiles in workgroup memory and registers
 */
export type KernelSchedule = "cpu" | "gpu";

/** What a kernel binds: a storage buffer, or an image of so many dimensions and that format, which it reads. */
export type BindingKind = "buffer" | `${"1d" | "2d"} ${ImageFormat}`;

/** What to open, and how. */
export interface GpuOptions {
  /** Which kernels to build; by default those made for the kind of adapter that is found. Bits differ between them. */
  readonly schedule?: KernelSchedule;
  /** Which adapter to prefer where there are several; the default is the fast one. */
  readonly powerPreference?: GPUPowerPreference;
  /** Upper bound, in bytes, on one storage binding: to test sharding, or to live within another device's limit. */
  readonly maxBindingBytes?: number;
  /** Do without subgroup operations even where the device has them. */
  readonly noSubgroups?: boolean;
  /** Do without integers of 64 bits even where the device has them. Bits are the same. */
  readonly noWideIntegers?: boolean;
  /** How to compute matrix products, as an earlier search found or a run recorded; by default as the shapes suggest. */
  readonly tuning?: TuningTable;
  /** Where to look for an adapter; the default is `navigator.gpu`. */
  readonly api?: Pick<GPU, "requestAdapter">;
}

/** What the adapter says of itself. */
export interface AdapterDescription {
  /** Maker, as the driver spells it; empty where it does not say. */
  readonly vendor: string;
  /** Family of devices; often empty. */
  readonly architecture: string;
  /** Model, or the driver's number for it; often empty. */
  readonly device: string;
  /** Name for people, such as that of the graphics card. */
  readonly description: string;
  /** A CPU that acts as a GPU: kernels are scheduled for wide vectors and few loads. */
  readonly isCpu: boolean;
}

const RAISED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** Deno hides these features from `adapter.features` and accepts them all the same. */
const SUBGROUPS = "subgroups" as GPUFeatureName, WIDE_INTEGERS = "wgpu-shader-int64" as GPUFeatureName;

const NO_ADAPTER =
  "Cannot open a WebGPU device: no adapter was found, and one is required. Install a Vulkan driver (on Debian or " +
  "Ubuntu, for the CPU: apt-get install -y mesa-vulkan-drivers libvulkan1), then see `swagpu doctor`";

/**
 * An open device, the buffers on it and the first thing that went wrong. Dispose of it with {@linkcode Gpu.destroy}.
 */
export class Gpu {
  /** The WebGPU device. */
  readonly device: GPUDevice;
  /** What the adapter says of itself. */
  readonly adapter: AdapterDescription;
  /** Largest storage binding that may be used, in bytes. */
  readonly maxBindingBytes: number;
  /** Invocations per subgroup, or 0 where subgroup operations cannot be used. */
  readonly subgroupSize: number;
  /** Whether kernels may use integers of 64 bits. */
  readonly wideIntegers: boolean;
  /** Which kernels are built. */
  readonly schedule: KernelSchedule;
  /** How matrix products are computed in what is compiled from now on. */
  tuning: TuningTable;
  #failure: Error | undefined;
  #lost = false;
  readonly #buffers = new Set<GPUBuffer>();
  readonly #images = new Set<GPUTexture>();
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  /** @internal Use {@linkcode openGpu}. */
  constructor(
    device: GPUDevice,
    adapter: AdapterDescription,
    { schedule, subgroupSize, wideIntegers, maxBindingBytes, tuning }: Pick<
      Gpu,
      "schedule" | "subgroupSize" | "wideIntegers" | "maxBindingBytes" | "tuning"
    >,
  ) {
    this.device = device;
    this.adapter = adapter;
    this.schedule = schedule;
    this.subgroupSize = subgroupSize;
    this.wideIntegers = wideIntegers;
    this.maxBindingBytes = maxBindingBytes;
    this.tuning = tuning;
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#failure ??= namedError((event as GPUUncapturedErrorEvent).error);
    });
    device.lost.then((info) => {
      if (this.#lost) return;
      this.#failure = new DeviceLostError(
        `Cannot use the device: it was lost (${info.reason ?? "unknown"}: ${
          info.message || "no message"
        }); a new one must be opened`,
      );
    });
  }

  /** Throws the first error that the device reported, if any. Errors arrive after the command: call it at each read. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Number and bytes of the buffers and images that are alive. */
  get live(): { readonly count: number; readonly bytes: number } {
    let bytes = 0;
    for (const buffer of this.#buffers) bytes += buffer.size;
    for (const image of this.#images) bytes += image.width * image.height * TEXEL_BYTES[image.format as ImageFormat];
    return { count: this.#buffers.size + this.#images.size, bytes };
  }

  /** A zeroed buffer of at least 4 bytes. */
  createBuffer(label: string, bytes: number, usage: GPUBufferUsageFlags = STORAGE): GPUBuffer {
    const limit = this.device.limits.maxBufferSize;
    if (bytes > limit) {
      throw new OutOfMemoryError(
        `Cannot create buffer ${label} of ${bytes} bytes: the device's limit is ${limit} bytes`,
      );
    }
    const buffer = this.device.createBuffer({ label, size: Math.max(4, Math.ceil(bytes / 4) * 4), usage });
    this.#buffers.add(buffer);
    return buffer;
  }

  /** Frees a buffer at once: garbage collection never sees device memory. */
  destroyBuffer(buffer: GPUBuffer): void {
    this.#buffers.delete(buffer);
    buffer.destroy();
  }

  /** An image that kernels read and copies fill. */
  createImage(label: string, shape: Pick<GPUTextureDescriptor, "size" | "dimension" | "format">): GPUTexture {
    const usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST;
    const texture = this.device.createTexture({ label, ...shape, usage });
    this.#images.add(texture);
    return texture;
  }

  /** Frees an image at once. */
  destroyImage(texture: GPUTexture): void {
    this.#images.delete(texture);
    texture.destroy();
  }

  /** The layout of bindings that are storage buffers, all writable (see ARCHITECTURE.md, "One access mode"), or images. */
  bindGroupLayout(bindings: readonly BindingKind[]): GPUBindGroupLayout {
    const label = bindings.join(" ");
    let layout = this.#layouts.get(label);
    if (layout === undefined) {
      layout = this.device.createBindGroupLayout({
        label,
        entries: bindings.map((kind, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          ...kind === "buffer" ? { buffer: { type: "storage" as const } } : { storageTexture: imageLayout(kind) },
        })),
      });
      this.#layouts.set(label, layout);
    }
    return layout;
  }

  /** A compute pipeline, made once per source, entry point and bindings. */
  async pipeline(
    label: string,
    code: string,
    bindings: readonly BindingKind[],
    entryPoint = "main",
  ): Promise<GPUComputePipeline> {
    this.check();
    const key = `${bindings}:${entryPoint}:${code}`;
    let pipeline = this.#pipelines.get(key);
    if (pipeline === undefined) {
      this.device.pushErrorScope("validation");
      const module = this.device.createShaderModule({ label, code });
      pipeline = this.device.createComputePipeline({
        label,
        layout: this.device.createPipelineLayout({ label, bindGroupLayouts: [this.bindGroupLayout(bindings)] }),
        compute: { module, entryPoint },
      });
      const error = await this.device.popErrorScope();
      if (error !== null) throw new GpuValidationError(`Cannot build kernel ${label}: ${error.message}`);
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  /** Does `work`, and keeps none of the pipelines that it made: kernels that were only tried. */
  async forgettingPipelines<T>(work: () => Promise<T>): Promise<T> {
    const kept = new Set(this.#pipelines.keys());
    try {
      return await work();
    } finally {
      for (const key of this.#pipelines.keys()) if (!kept.has(key)) this.#pipelines.delete(key);
    }
  }

  /** Copies bytes into a buffer, however many: the device takes them by fours. */
  writeBytes(buffer: GPUBuffer, bytes: Uint8Array<ArrayBuffer>): void {
    const whole = bytes.length & ~3;
    this.device.queue.writeBuffer(buffer, 0, bytes, 0, whole);
    if (whole === bytes.length) return;
    const rest = new Uint8Array(4);
    rest.set(bytes.subarray(whole));
    this.device.queue.writeBuffer(buffer, whole, rest);
  }

  /** Copies bytes out of a buffer. Waits until the device has done all that was submitted. */
  async read(buffer: GPUBuffer, offset = 0, bytes: number = buffer.size - offset): Promise<ArrayBuffer> {
    this.check();
    const staging = this.createBuffer(
      `read of ${buffer.label}`,
      bytes,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    );
    try {
      const encoder = this.device.createCommandEncoder({ label: `read of ${buffer.label}` });
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
      this.device.queue.submit([encoder.finish()]);
      await this.map(staging);
      const copy = staging.getMappedRange().slice(0);
      staging.unmap();
      this.check();
      return copy;
    } finally {
      this.destroyBuffer(staging);
    }
  }

  /** Maps a staging buffer for reading; a device that failed meanwhile is named. */
  async map(staging: GPUBuffer): Promise<void> {
    try {
      await staging.mapAsync(GPUMapMode.READ);
    } catch (cause) {
      this.check();
      throw new DeviceLostError(`Cannot read ${staging.label}: ${(cause as Error).message}`, { cause });
    }
  }

  /** Waits until the device has done all that was submitted, then throws what went wrong, if anything. */
  async finish(): Promise<void> {
    await this.device.queue.onSubmittedWorkDone();
    this.check();
  }

  /** Frees every buffer and the device. */
  destroy(): void {
    this.#lost = true;
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
    for (const image of this.#images) image.destroy();
    this.#images.clear();
    this.device.destroy();
  }

  /** Same as {@linkcode Gpu.destroy}, for `using gpu = await openGpu()`. */
  [Symbol.dispose](): void {
    this.destroy();
  }
}

/** Usage of a buffer that kernels bind and the host writes and copies. */
export const STORAGE: GPUBufferUsageFlags = 0x80 | 0x8 | 0x4;

function imageLayout(kind: Exclude<BindingKind, "buffer">): GPUStorageTextureBindingLayout {
  const [viewDimension, format] = kind.split(" ") as ["1d" | "2d", GPUTextureFormat];
  return { access: "read-only", format, viewDimension };
}

function namedError(error: GPUError): Error {
  const kind = error.constructor.name;
  return kind === "GPUOutOfMemoryError"
    ? new OutOfMemoryError(`Cannot go on: the device is out of memory (${error.message}); use a smaller batch`)
    : new GpuValidationError(`Cannot go on: the device refused a command (${error.message})`);
}

/** What adapters say besides what Deno declares. */
type AdapterInfo = GPUAdapterInfo & {
  subgroupMinSize?: number;
  subgroupMaxSize?: number;
  isFallbackAdapter?: boolean;
};

function describe({ vendor, architecture, device, description, isFallbackAdapter }: AdapterInfo): AdapterDescription {
  const isCpu = isFallbackAdapter === true || /llvmpipe|lavapipe|swiftshader/i.test(`${device} ${description}`);
  return { vendor, architecture, device, description, isCpu };
}

/** What to ask for, in turn: all, then ever less, the first features last. */
function subsetsOf([first, ...rest]: readonly GPUFeatureName[]): GPUFeatureName[][] {
  if (first === undefined) return [[]];
  const others = subsetsOf(rest);
  return [...others.map((subset) => [first, ...subset]), ...others];
}

/** A device with those of the wanted features that this adapter grants, found by asking: Deno does not list them all. */
async function requestDevice(
  adapter: GPUAdapter,
  wanted: readonly GPUFeatureName[],
  maxBindingBytes?: number,
): Promise<GPUDevice> {
  const requiredLimits: Record<string, number> = {};
  for (const limit of RAISED_LIMITS) requiredLimits[limit] = adapter.limits[limit];
  if (maxBindingBytes !== undefined) {
    requiredLimits.maxStorageBufferBindingSize = Math.min(maxBindingBytes, adapter.limits.maxStorageBufferBindingSize);
  }
  let cause: unknown;
  for (const requiredFeatures of subsetsOf(wanted)) {
    try {
      return await adapter.requestDevice({ label: "swagpu", requiredFeatures, requiredLimits });
    } catch (refusal) {
      cause = refusal;
    }
  }
  throw new NoAdapterError(`Cannot open the adapter: ${(cause as Error).message}`, { cause });
}

/**
 * Opens a device with every limit raised to what the adapter allows.
 *
 * @throws NoAdapterError where there is no adapter; its message names the remedy
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const api = options.api ?? globalThis.navigator?.gpu;
  const adapter = await api?.requestAdapter({ powerPreference: options.powerPreference ?? "high-performance" }) ?? null;
  if (adapter === null) throw new NoAdapterError(NO_ADAPTER);
  const info = adapter.info as AdapterInfo, description = describe(info);
  const uniform = info.subgroupMinSize !== undefined && info.subgroupMinSize === info.subgroupMaxSize;
  // Integers of 64 bits gain on CPUs; on a GPU nothing was measured.
  const device = await requestDevice(adapter, [
    ...options.noSubgroups || !uniform ? [] : [SUBGROUPS],
    "timestamp-query",
    ...description.isCpu && !options.noWideIntegers ? [WIDE_INTEGERS] : [],
  ], options.maxBindingBytes);
  return new Gpu(device, description, {
    schedule: options.schedule ?? (description.isCpu ? "cpu" : "gpu"),
    subgroupSize: device.features.has(SUBGROUPS) ? info.subgroupMinSize! : 0,
    wideIntegers: device.features.has(WIDE_INTEGERS),
    maxBindingBytes: Math.min(options.maxBindingBytes ?? Infinity, device.limits.maxStorageBufferBindingSize),
    tuning: options.tuning ?? {},
  });
}
