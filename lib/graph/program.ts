/**
 * A compiled graph: memory planned, pipelines and bind groups built. Running it is only encoding.
 *
 * @module
 */

import { OutOfMemoryError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { imageBytes, Images } from "../gpu/images.ts";
import { bindingsOf, type BufferRange, imagesOf, type Launch, prepareLaunch } from "../gpu/launch.ts";
import {
  bytesOf,
  type Dispatch,
  isPart,
  type Parameter,
  type ParameterGradient,
  storageOf,
  type Tensor,
} from "../ops/operation.ts";
import { type MemoryPlan, planMemory } from "./plan.ts";
import type { FlatVector } from "./vector.ts";

/** Largest slab: some drivers refuse single allocations above this although their limit is higher. */
const MAX_SLAB_BYTES = 2 ** 30;

/** The flat vectors of a model: what outlives its programs. */
export interface ModelVectors {
  /** Weights of the network below the head: [P]. */
  readonly backbone: FlatVector;
  /** Weights and bias of the final linear layer. */
  readonly head: FlatVector;
  /** Running statistics. */
  readonly state: FlatVector;
}

/** The gradients' flat vectors. */
export type GradientVectors = Pick<ModelVectors, "backbone" | "head">;

/** Where external tensors are: a buffer of its own, or a part of one. */
export type ExternalPlaces = ReadonlyMap<Tensor, GPUBuffer | BufferRange>;

/** What a program is compiled against. */
export interface ProgramOptions {
  readonly label: string;
  /** Those of which the launches bind anything. */
  readonly vectors: Partial<ModelVectors>;
  /** Needed by programs with a backward pass. */
  readonly gradients?: Partial<GradientVectors>;
  /** Where the external tensors are. */
  readonly externals: ExternalPlaces;
  /**
   * Numbers of launches that always run together, one run after another: what an image holds serves one run alone. All
   * launches are one unless given.
   */
  readonly runs?: readonly number[];
  /** Scratch tensors that the host reads after a run. */
  readonly keep?: readonly Tensor[];
}

/** The memory plan of a program. */
export interface ProgramPlan extends MemoryPlan {
  /** Bytes of the slabs and of the images that its launches share, which the lower bound counts as well. */
  readonly bytes: number;
}

/** A sequence of launches with the scratch memory that they share. */
export class Program {
  /** Where scratch tensors live. */
  readonly plan: MemoryPlan;
  /** Launches in order. */
  readonly launches: readonly Launch[];
  readonly #gpu: Gpu;
  readonly #slabs: readonly GPUBuffer[];
  readonly #images: Images;

  /** @internal Use {@linkcode compile}. */
  constructor(
    gpu: Gpu,
    plan: MemoryPlan,
    slabs: readonly GPUBuffer[],
    images: Images,
    launches: readonly Launch[],
  ) {
    this.#gpu = gpu;
    this.plan = plan;
    this.#slabs = slabs;
    this.#images = images;
    this.launches = launches;
  }

  /** The bytes of a kept scratch tensor. */
  rangeOf(tensor: Tensor): BufferRange {
    return scratchRange(this.plan, this.#slabs, tensor);
  }

  /** Frees the scratch memory. */
  destroy(): void {
    this.#slabs.forEach((slab) => this.#gpu.destroyBuffer(slab));
    this.#images.destroy();
  }
}

/** Bindings of tensors that are stored as f16. */
function packedOf({ bindings }: Dispatch): number[] {
  return bindings.flatMap((tensor, index) => storageOf(tensor).elements === "f16" ? [index] : []);
}

function scratchRange(plan: MemoryPlan, slabs: readonly GPUBuffer[], tensor: Tensor): BufferRange {
  const place = plan.places.get(storageOf(tensor));
  if (place === undefined) throw new RangeError(`Cannot bind ${tensor.name}: no launch of the program uses it`);
  return { buffer: slabs[place.slab], offset: place.offset, size: bytesOf(tensor) };
}

/**
 * The memory plan of launches, without allocating anything.
 *
 * @throws OutOfMemoryError where a launch binds more at once than the device can
 */
export function planProgram(gpu: Gpu, dispatches: readonly Dispatch[], keep: readonly Tensor[] = []): ProgramPlan {
  for (const { label, bindings } of dispatches) {
    // What is in an external buffer, and how large that is, the caller knows.
    const large = bindings.find((tensor) =>
      storageOf(tensor).role !== "external" && bytesOf(tensor) > gpu.maxBindingBytes
    );
    if (large === undefined) continue;
    const remedy = storageOf(large).role === "scratch" ? "use a smaller batch" : "a device that binds more is required";
    throw new OutOfMemoryError(
      `Cannot bind ${large.name} of ${bytesOf(large)} bytes for ${label}: the device's limit is ` +
        `${gpu.maxBindingBytes} bytes; ${remedy}`,
    );
  }
  const plan = planMemory(dispatches, new Set(keep), Math.min(MAX_SLAB_BYTES, gpu.device.limits.maxBufferSize));
  const images = imageBytes(
    dispatches.flatMap((dispatch) =>
      imagesOf({ images: dispatch.images, packed: packedOf(dispatch) }, dispatch.bindings.map(bytesOf))
    ),
  );
  const bytes = plan.slabs.reduce((sum, slab) => sum + slab, images);
  return { ...plan, lowerBound: plan.lowerBound + images, bytes };
}

/** Compiles launches: plans and allocates scratch memory, builds pipelines and bind groups. */
export async function compile(gpu: Gpu, dispatches: readonly Dispatch[], options: ProgramOptions): Promise<Program> {
  const plan = planProgram(gpu, dispatches, options.keep);
  const slabs: GPUBuffer[] = [];
  let images: Images | undefined;
  const rangeOf = (bound: Tensor): BufferRange => {
    const tensor = storageOf(bound);
    if (isPart(tensor)) {
      const { buffer, offset } = rangeOf(tensor.partOf);
      return { buffer, offset: offset + 4 * tensor.first, size: bytesOf(tensor) };
    }
    if (tensor.role === "scratch") return scratchRange(plan, slabs, tensor);
    if (tensor.role === "external") {
      const place = options.externals.get(tensor);
      if (place === undefined) {
        throw new RangeError(`Cannot compile ${options.label}: no buffer was given for ${tensor.name}`);
      }
      return "buffer" in place ? place : { buffer: place, offset: 0, size: place.size };
    }
    const isGradient = tensor.role === "gradient";
    const parameter = isGradient ? (tensor as ParameterGradient).parameter : tensor as Parameter;
    const vectors: Partial<ModelVectors> | undefined = isGradient ? options.gradients : options.vectors;
    const vector = vectors?.[parameter.vector];
    if (vector === undefined) {
      throw new RangeError(`Cannot compile ${options.label}: no vector was given for ${tensor.name}`);
    }
    return vector.rangeOf(parameter.name);
  };
  try {
    plan.slabs.forEach((bytes, index) => slabs.push(gpu.createBuffer(`${options.label} slab ${index}`, bytes)));
    const kernels = dispatches.map((dispatch) => ({ ...dispatch, packed: packedOf(dispatch) }));
    const ranges = dispatches.map(({ bindings }) => bindings.map(rangeOf));
    images = new Images(gpu, kernels.map((kernel, i) => bindingsOf(kernel, ranges[i])), options.runs);
    const launches: Launch[] = [];
    for (const [i, kernel] of kernels.entries()) {
      launches.push(await prepareLaunch(gpu, kernel, ranges[i], images.ofLaunch(i)));
    }
    return new Program(gpu, plan, slabs, images, launches);
  } catch (error) {
    images?.destroy();
    slabs.forEach((slab) => gpu.destroyBuffer(slab));
    throw error;
  }
}
