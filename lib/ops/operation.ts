/**
 * What an operation is: tensors in, one tensor out, and the kernels that compute it and its gradient. Operations are
 * plain data; `lib/graph` differentiates, plans and compiles them.
 *
 * @module
 */

import type { Constants } from "../../kernels/template.ts";
import type { Gpu, KernelSchedule } from "../gpu/device.ts";
import { sizeOf } from "../tensor.ts";
import type { TuningTable } from "../gpu/tuning_table.ts";
import { type Tile, TILES, workgroupBytesOf } from "./gemm_tile.ts";
import type { MomentsSource } from "./moments.ts";
import type { Product } from "./product.ts";

/**
 * Where a tensor lives.
 * - `scratch`: in the planned arena, from its first to its last use
 * - `parameter`, `gradient`, `state`: in a flat vector that outlives the program
 * - `external`: in a buffer of its own, which the host writes or reads
 */
export type Role = "scratch" | "parameter" | "gradient" | "state" | "external";

/** A tensor on the device: a name and a shape; its memory is assigned when the graph is compiled. */
export interface Tensor {
  /** Where it comes from, for labels and errors. */
  readonly name: string;
  /** Sizes; activations are [N, H, W, C] or [N, C]. */
  readonly shape: readonly number[];
  /** Where its memory is, and how long it holds. */
  readonly role: Role;
  /** The tensor whose memory it is, where it is the same elements in another shape. */
  readonly viewOf?: Tensor;
  /** The operation's output whose gradient it is, or which it holds a second time. */
  readonly activation?: Tensor;
  /** How its elements are stored: f32 (the default), or f16, two to a word, which kernels read and write as f32. */
  readonly elements?: "f32" | "f16";
}

/** How a parameter's elements lie on the device, and how PyTorch orders the same elements. */
export type ParameterLayout = "vector" | "convolution" | "linear";

/** A trainable tensor or a running statistic: part of a flat vector, named as PyTorch names it. */
export interface Parameter extends Tensor {
  /** `parameter` where a gradient trains it, `state` for running statistics. */
  readonly role: "parameter" | "state";
  /** Which flat vector holds it. */
  readonly vector: "backbone" | "head" | "state";
  /** Shape in PyTorch; `shape` is the device's. */
  readonly torchShape: readonly number[];
  /** How the device's order of elements differs from PyTorch's. */
  readonly layout: ParameterLayout;
}

/** The gradient of a parameter: the same place in the gradient's flat vector. */
export interface ParameterGradient extends Tensor {
  readonly role: "gradient";
  readonly parameter: Parameter;
}

/** Rows of a parameter or of its gradient: what is larger than a binding is bound in parts. */
export interface ParameterPart extends Tensor {
  readonly partOf: Parameter | ParameterGradient;
  /** Index of its first element in the whole. */
  readonly first: number;
}

/** One kernel launch. All bindings are storage buffers in group 0, in order. */
export interface Dispatch {
  readonly label: string;
  /** Operation and part, as `conv2d weight gradient`: what a profile adds up. The graph fills it in. */
  readonly kind?: string;
  /** Additions and multiplications, where they are what the launch is about. */
  readonly flops?: number;
  /**
   * The launch may run again, to compute the operation's output once more: it changes nothing but that output and
   * scratch memory of its own. Launches that bind the output run again anyway.
   */
  readonly again?: boolean;
  /** Kernel text with directives, see `kernels/template.ts`. */
  readonly source: string;
  readonly constants: Constants;
  readonly floats?: Constants;
  readonly bindings: readonly Tensor[];
  /** Indices of bindings that an adapter reads more quickly as images: see `kernels/image.ts`. */
  readonly images?: readonly number[];
  readonly groups: readonly [number, number, number];
}

/** What lowering may depend on besides shapes. */
export interface Target {
  /** Which kernels to build. Bits differ between schedules. */
  readonly schedule: KernelSchedule;
  /** Invocations per subgroup; 0 where subgroup operations cannot be used. */
  readonly subgroupSize: number;
  /** Tiles of matrix products to choose from under the schedule `gpu`; at least one. */
  readonly tiles: readonly Tile[];
  /** BatchNorm uses and updates batch statistics. */
  readonly training: boolean;
  /** Outputs are computed once more: nothing else is wanted. */
  readonly again?: boolean;
  /** How to compute matrix products; absent: in their default ways. */
  readonly tuning?: TuningTable;
  /** Is told of every matrix product that is lowered: what a search can choose among. */
  readonly onProduct?: (product: Product) => void;
}

/** What a device asks of lowering: its schedule, its tuning, and the tiles that its workgroup memory holds. */
export function targetOf(gpu: Gpu, { training }: { readonly training: boolean }): Target {
  const { schedule, subgroupSize, device, tuning } = gpu;
  const tiles = TILES.filter((tile) => workgroupBytesOf(tile) <= device.limits.maxComputeWorkgroupStorageSize);
  return { schedule, subgroupSize, tiles, training, tuning };
}

/** Where to put the gradient of an input: a tensor, and whether another consumer has already written to it. */
export interface GradientSlot {
  readonly tensor: Tensor;
  readonly accumulate: boolean;
}

/** Gives the slot of an input's gradient, or `undefined` where nobody needs it. Ask once per contribution. */
export type GradientOf = (input: Tensor) => GradientSlot | undefined;

/** One node of a graph. */
export interface Operation {
  /** The field's name of the operation, for instance `conv2d`. */
  readonly kind: string;
  /** What the labels of its launches begin with; default: the output's name. */
  readonly name?: string;
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  /** Kernels that compute `output`. */
  forward(target: Target): readonly Dispatch[];
  /** Kernels that add to the gradients of the inputs, given that of the output. */
  backward(target: Target, dOutput: Tensor, gradientOf: GradientOf): readonly Dispatch[];
  /**
   * One operation that does this and `consumer`, the only reader of `output`, and writes the consumer's output;
   * `undefined` where the two must stay apart.
   */
  fuse?(consumer: Operation): Operation | undefined;
  /** This operation, leaving moments of its output beside it. */
  leaveMoments?(): MomentsSource;
  /** This operation, taking its input's moments from where they are left; `undefined` where it reads no such input. */
  takeMoments?(source: MomentsSource): Operation | undefined;
}

/** A tensor in the arena. */
export function scratch(name: string, shape: readonly number[]): Tensor {
  return { name, shape, role: "scratch" };
}

/** The tensor whose memory a tensor has: itself, unless it is a view. */
export function storageOf(tensor: Tensor): Tensor {
  return tensor.viewOf ?? tensor;
}

/** Bytes of a tensor's elements. */
export function bytesOf(tensor: Tensor): number {
  return sizeOf(tensor.shape) * (storageOf(tensor).elements === "f16" ? 2 : 4);
}

/** The elements of a tensor in another shape of the same size, in the same memory. */
export function view(tensor: Tensor, shape: readonly number[]): Tensor {
  const storage = storageOf(tensor);
  if (shape.join() === storage.shape.join()) return storage;
  return { name: tensor.name, shape, role: storage.role, viewOf: storage };
}

/** Elements between places where a binding may begin: WebGPU's 256 bytes. */
export const BINDING_ALIGNMENT = 64;

/**
 * Some rows of a parameter or of its gradient, on the device.
 *
 * @throws RangeError where no binding can begin at the first of them
 */
export function partOf(whole: Parameter | ParameterGradient, firstRow: number, rows: number): ParameterPart {
  const [, ...row] = whole.shape, first = firstRow * sizeOf(row);
  if (first % BINDING_ALIGNMENT !== 0) {
    throw new RangeError(
      `Cannot bind ${whole.name} from row ${firstRow} on: a row whose first element is a multiple of ` +
        `${BINDING_ALIGNMENT} is required`,
    );
  }
  return { name: `${whole.name} from ${firstRow}`, shape: [rows, ...row], role: whole.role, partOf: whole, first };
}

/** Whether a tensor is a part of a parameter or of its gradient. */
export function isPart(tensor: Tensor): tensor is ParameterPart {
  return "partOf" in tensor;
}

/** Refuses a shape. */
export function shapeError(operation: string, found: string, required: string): TypeError {
  return new TypeError(`Cannot build ${operation}: found ${found}, but ${required}`);
}

/** Checks that a size is a positive integer. */
export function requireSize(operation: string, name: string, value: number, least = 1): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(
      `Cannot build ${operation}: ${name} is ${value}, but an integer of at least ${least} is required`,
    );
  }
}

/** Sizes of an [N, H, W, C] tensor. */
export function imageShape(operation: string, tensor: Tensor): { n: number; h: number; w: number; c: number } {
  if (tensor.shape.length !== 4) {
    throw shapeError(operation, `${tensor.name} of shape [${tensor.shape}]`, "an [N, H, W, C] tensor is required");
  }
  const [n, h, w, c] = tensor.shape;
  return { n, h, w, c };
}
