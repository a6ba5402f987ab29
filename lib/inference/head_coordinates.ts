/**
 * Coordinates of a head along the axes of its prior. A step moves them as it would move the weights: a rotation
 * leaves noise, friction and norms as they are, and makes a Kronecker product's covariance diagonal.
 *
 * @module
 */

import { OutOfMemoryError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { BufferRange, Launch } from "../gpu/launch.ts";
import { Graph, lowerForward } from "../graph/graph.ts";
import { compile, type ExternalPlaces, planProgram, type Program } from "../graph/program.ts";
import { FlatVector, type VectorLayout } from "../graph/vector.ts";
import type { DeviceModel } from "../models/device_model.ts";
import { arithmetic } from "../ops/arithmetic.ts";
import { matmul } from "../ops/matmul.ts";
import { concat } from "../ops/movement.ts";
import { type Dispatch, targetOf, type Tensor } from "../ops/operation.ts";
import { copy } from "../ops/strided_copy.ts";
import { stridesOf } from "../ops/strides.ts";
import type { HeadAxes } from "../priors/head_gaussian.ts";
import { sizeOf } from "../tensor.ts";

/** Features F and classes C of a head. */
interface HeadSizes {
  readonly features: number;
  readonly classes: number;
}

/**
 * Sizes of a head, weight [C, F] and then bias [C], whose prior has axes.
 *
 * @throws TypeError where the head is another, or of other sizes than the axes
 */
export function requireAxesFit({ entries }: VectorLayout, { inputs, outputs }: HeadAxes): HeadSizes {
  const [weight, bias] = entries, [classes, features] = weight?.torchShape ?? [];
  const fits = entries.length === 2 && weight.layout === "linear" && bias.torchShape.join() === String(classes) &&
    inputs.length === (features + 1) ** 2 && outputs.length === classes ** 2;
  if (fits) return { features, classes };
  const found = entries.map(({ name, torchShape }) => `${name} [${torchShape}]`).join(" and ");
  throw new TypeError(
    `Cannot use a prior along axes of [${Math.sqrt(outputs.length)}, ${Math.sqrt(inputs.length)}] for a head of ` +
      `${found}: a weight [C, F] and a bias [C] are required, and axes of [C, F + 1]`,
  );
}

/** Weight [F, C] and bias [1, C] of a head, or what stands for them among coordinates, as the device has them. */
type Part = "weight" | "bias";
type HeadTensors = Readonly<Record<Part, Tensor>>;

/** Launches between a head and its coordinates. */
class Rotation {
  readonly #sizes: HeadSizes;
  readonly inputs: Tensor;
  readonly outputs: Tensor;
  readonly head: HeadTensors;
  readonly gradient: HeadTensors;
  /** Coordinates before the step, behind it, and those of the gradient. */
  readonly before: HeadTensors;
  readonly after: HeadTensors;
  readonly force: HeadTensors;

  constructor({ features, classes }: HeadSizes) {
    this.#sizes = { features, classes };
    const external = (name: string, shape: readonly number[]): Tensor => ({ name, shape, role: "external" });
    const tensors = (name: string): HeadTensors => ({
      weight: external(`${name} weight`, [features, classes]),
      bias: external(`${name} bias`, [1, classes]),
    });
    this.inputs = external("axes of inputs", [features + 1, features + 1]);
    this.outputs = external("axes of outputs", [classes, classes]);
    this.head = tensors("head");
    this.gradient = tensors("head's gradient");
    this.before = tensors("coordinates before");
    this.after = tensors("coordinates");
    this.force = tensors("coordinates' gradient");
  }

  /** Writes the coordinates of head and gradient. */
  enter(gpu: Gpu): Dispatch[] {
    return [
      ...this.#coordinates(gpu, "head's coordinates", this.head, [this.before, this.after]),
      ...this.#coordinates(gpu, "gradient's coordinates", this.gradient, [this.force]),
    ];
  }

  /** inputs^T X outputs, with X = [W b]^T as the device has it. */
  #coordinates(gpu: Gpu, name: string, { weight, bias }: HeadTensors, into: readonly HeadTensors[]): Dispatch[] {
    const graph = new Graph();
    const whole = graph.apply(concat(`${name} joined`, [weight, bias], 0));
    const turned = graph.apply(matmul(`${name} turned`, this.inputs, whole, { transposeA: true }));
    const found = graph.apply(matmul(name, turned, this.outputs));
    return [...lowered(gpu, graph), ...into.flatMap((tensors) => this.#part(found, tensors, false))];
  }

  /**
   * Adds to the head what its coordinates have gained: inputs D outputs^T. The head itself is not turned to and fro: it
   * would move a little with each step, and one that is left out would leave a trace.
   */
  leave(gpu: Gpu): Dispatch[] {
    const graph = new Graph(), name = "head's step";
    const gained = (["weight", "bias"] as const).map((part) =>
      graph.apply(arithmetic(`${name}: ${part}`, "sub", this.after[part], this.before[part]))
    );
    const whole = graph.apply(concat(`${name} joined`, gained, 0));
    const turned = graph.apply(matmul(`${name} turned`, this.inputs, whole));
    const found = graph.apply(matmul(name, turned, this.outputs, { transposeB: true }));
    return [...lowered(gpu, graph), ...this.#part(found, this.head, true)];
  }

  /** Writes, or adds, the rows of [F + 1, C] to weight and bias. */
  #part(whole: Tensor, { weight, bias }: HeadTensors, accumulate: boolean): Dispatch[] {
    const rows = (part: Tensor, offset: number) => {
      const strides = stridesOf(part.shape), to = { tensor: part, strides, offset: 0 };
      return copy(`${whole.name} into ${part.name}`, part.shape, { tensor: whole, strides, offset }, to, {
        accumulate,
      });
    };
    return [rows(weight, 0), rows(bias, sizeOf([this.#sizes.features, this.#sizes.classes]))];
  }
}

function lowered(gpu: Gpu, graph: Graph): Dispatch[] {
  return lowerForward(graph, targetOf(gpu, { training: false }));
}

/** Device memory of a head's coordinates, in bytes. */
export function estimateCoordinates(gpu: Gpu, layout: VectorLayout, axes: HeadAxes): number {
  const rotation = new Rotation(requireAxesFit(layout, axes));
  const scratch = [rotation.enter(gpu), rotation.leave(gpu)].map((dispatches) => planProgram(gpu, dispatches).bytes);
  return scratch.reduce((sum, bytes) => sum + bytes, 12 * layout.paddedCount) + axes.inputs.byteLength +
    axes.outputs.byteLength;
}

/** A head's coordinates on the device. */
export class HeadCoordinates {
  /** What a step moves, and the gradient by it. Where weight and bias are in the head, there are coordinates. */
  readonly theta: FlatVector;
  readonly gradient: FlatVector;
  readonly #gpu: Gpu;
  readonly #before: FlatVector;
  readonly #axes: readonly GPUBuffer[];
  #programs: readonly Program[] = [];

  private constructor(gpu: Gpu, layout: VectorLayout, { inputs, outputs }: HeadAxes) {
    this.#gpu = gpu;
    this.theta = new FlatVector(gpu, "coordinates", layout);
    this.gradient = new FlatVector(gpu, "coordinates' gradient", layout);
    this.#before = new FlatVector(gpu, "coordinates before", layout);
    this.#axes = [inputs, outputs].map((values) => {
      const buffer = gpu.createBuffer("axes of a head", values.byteLength);
      gpu.device.queue.writeBuffer(buffer, 0, values.slice());
      return buffer;
    });
  }

  /**
   * Compiles the rotations.
   *
   * @param gradient by the head's weights
   * @throws TypeError where the axes are not the head's
   * @throws OutOfMemoryError where there are more of them than the device can bind
   */
  static async create(model: DeviceModel, gradient: FlatVector, axes: HeadAxes): Promise<HeadCoordinates> {
    const { gpu, vectors } = model, rotation = new Rotation(requireAxesFit(model.layouts.head, axes));
    if (axes.inputs.byteLength > gpu.maxBindingBytes) {
      throw new OutOfMemoryError(
        `Cannot bind the ${axes.inputs.byteLength} bytes of a head's axes: the device's limit is ${gpu.maxBindingBytes}; a ` +
          "diagonal prior of the head is required",
      );
    }
    const made = new HeadCoordinates(gpu, model.layouts.head, axes);
    const [weight, bias] = model.layouts.head.entries;
    const placed: readonly (readonly [HeadTensors, FlatVector])[] = [
      [rotation.head, vectors.head],
      [rotation.gradient, gradient],
      [rotation.before, made.#before],
      [rotation.after, made.theta],
      [rotation.force, made.gradient],
    ];
    const externals: ExternalPlaces = new Map<Tensor, GPUBuffer | BufferRange>([
      [rotation.inputs, made.#axes[0]],
      [rotation.outputs, made.#axes[1]],
      ...placed.map(([tensors, vector]) => [tensors.weight, vector.rangeOf(weight.name)] as const),
      ...placed.map(([tensors, vector]) => [tensors.bias, vector.rangeOf(bias.name)] as const),
    ]);
    try {
      for (const dispatches of [rotation.enter(gpu), rotation.leave(gpu)]) {
        made.#programs = [...made.#programs, await compile(gpu, dispatches, { label: "head", vectors: {}, externals })];
      }
    } catch (error) {
      made.destroy();
      throw error;
    }
    return made;
  }

  /** To be encoded between the gradient and the update. */
  get enter(): readonly Launch[] {
    return this.#programs[0].launches;
  }

  /** To be encoded behind the update. */
  get leave(): readonly Launch[] {
    return this.#programs[1].launches;
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#programs.forEach((program) => program.destroy());
    [this.theta, this.gradient, this.#before].forEach((vector) => vector.destroy());
    this.#axes.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}
