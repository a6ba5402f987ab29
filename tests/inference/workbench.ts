/**
 * Drives the update of a flat vector without a network, under a Gaussian prior and a quadratic likelihood.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import { type BufferRange, type Launch, prepareLaunch, submitLaunches } from "../../lib/gpu/launch.ts";
import { FlatVector, layoutVector, type VectorLayout } from "../../lib/graph/vector.ts";
import { Control, type ControlValues } from "../../lib/gpu/control.ts";
import { controlOf, type SamplerSettings } from "../../lib/inference/samplers.ts";
import { FlatUpdate } from "../../lib/inference/update.ts";
import type { Parameter } from "../../lib/ops/operation.ts";
import { DeviceGaussian } from "../../lib/priors/device_gaussian.ts";
import type { Gaussian } from "../../lib/priors/gaussian.ts";
import { Stream } from "../../lib/random/philox.ts";

/** A layout of vectors of the given sizes; each starts on a 256-byte boundary, with padding behind it. */
export function layoutOf(gpu: Gpu, sizes: readonly number[]): VectorLayout {
  const parameters = sizes.map((size, index): Parameter => ({
    name: `tensor${index}`,
    shape: [size],
    torchShape: [size],
    layout: "vector",
    vector: "backbone",
    role: "parameter",
  }));
  return layoutVector("backbone", parameters, gpu.maxBindingBytes);
}

/** Where each element of PyTorch's order lies in the padded vector, for layouts of one shard. */
export function placesOf({ entries }: VectorLayout): number[] {
  return entries.flatMap(({ offset, size }) => Array.from({ length: size }, (_, i) => offset + i));
}

/** A function of theta that is linear up to `EXTRA`: out = matrix in - constant, `[ROWS, COLUMNS]` row-major. */
const AFFINE = `
@group(0) @binding(0) var<storage, read_write> matrix: array<f32>;
@group(0) @binding(1) var<storage, read_write> constant: array<f32>;
@group(0) @binding(2) var<storage, read_write> input: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= ROWS) { return; }
  var sum = -constant[id.x];
  for (var j = 0u; j < COLUMNS; j++) { sum += matrix[id.x * COLUMNS + j] * input[j]; }
  output[id.x] = sum;
}`;

/** A launch that computes a gradient, and what it keeps on the device. */
export interface GradientKernel {
  readonly launches: readonly Launch[];
  readonly buffers: readonly GPUBuffer[];
}

/** Makes the gradient of the likelihood from theta. */
export type GradientMaker = (gpu: Gpu, theta: BufferRange, gradient: BufferRange) => Promise<GradientKernel>;

function upload(gpu: Gpu, values: Float32Array<ArrayBuffer>): GPUBuffer {
  const buffer = gpu.createBuffer("test values", values.byteLength);
  gpu.device.queue.writeBuffer(buffer, 0, values);
  return buffer;
}

/** Layers of out = matrix in - constant, from theta to the gradient. */
export function affineGradient(
  layers: readonly { readonly matrix: readonly Float64Array[]; readonly constant: Float64Array }[],
): GradientMaker {
  return async (gpu, theta, gradient) => {
    const buffers: GPUBuffer[] = [], launches: Launch[] = [];
    let input = theta;
    for (const [index, { matrix, constant }] of layers.entries()) {
      const rows = matrix.length, columns = matrix[0].length;
      const flat = upload(gpu, Float32Array.from(matrix.flatMap((row) => [...row])));
      const shift = upload(gpu, Float32Array.from(constant));
      buffers.push(flat, shift);
      let output = gradient;
      if (index < layers.length - 1) {
        const buffer = gpu.createBuffer("test hidden", 4 * rows);
        buffers.push(buffer);
        output = { buffer, offset: 0, size: buffer.size };
      }
      const kernel = {
        label: "test gradient",
        source: AFFINE,
        constants: { ROWS: rows, COLUMNS: columns },
        groups: [Math.ceil(rows / 64), 1, 1] as const,
      };
      const whole = (buffer: GPUBuffer) => ({ buffer, offset: 0, size: buffer.size });
      launches.push(await prepareLaunch(gpu, kernel, [whole(flat), whole(shift), input, output]));
      input = output;
    }
    return { launches, buffers };
  };
}

/** What is run. */
export interface WorkbenchOptions {
  readonly sizes: readonly number[];
  readonly settings: SamplerSettings;
  readonly learningRate: number;
  readonly prior?: Gaussian;
  readonly gradient?: GradientMaker;
  readonly seed?: number;
  /** Changes the control of each step: a mutation. */
  readonly mutate?: (values: ControlValues) => ControlValues;
}

/** A flat vector, its update and the gradient of a likelihood. */
export class Workbench {
  readonly theta: FlatVector;
  readonly gradient: FlatVector;
  readonly update: FlatUpdate;
  readonly layout: VectorLayout;
  readonly control: Control;
  readonly #gpu: Gpu;
  readonly #options: WorkbenchOptions;
  readonly #prior: DeviceGaussian | undefined;
  readonly #kernel: GradientKernel;
  #step = 0;

  private constructor(
    gpu: Gpu,
    options: WorkbenchOptions,
    parts: {
      theta: FlatVector;
      gradient: FlatVector;
      control: Control;
      prior?: DeviceGaussian;
      update: FlatUpdate;
      kernel: GradientKernel;
    },
  ) {
    this.#gpu = gpu;
    this.#options = options;
    this.theta = parts.theta;
    this.layout = parts.theta.layout;
    this.gradient = parts.gradient;
    this.control = parts.control;
    this.update = parts.update;
    this.#prior = parts.prior;
    this.#kernel = parts.kernel;
  }

  static async create(gpu: Gpu, options: WorkbenchOptions): Promise<Workbench> {
    const layout = layoutOf(gpu, options.sizes);
    const theta = new FlatVector(gpu, "theta", layout), gradient = new FlatVector(gpu, "gradient", layout);
    const control = new Control(gpu, "workbench");
    const prior = options.prior === undefined ? undefined : new DeviceGaussian(gpu, layout, options.prior);
    const update = await FlatUpdate.create(gpu, control, {
      label: "workbench",
      sampler: options.settings.sampler,
      nesterov: options.settings.nesterov,
      priorStep: options.settings.priorStep,
      theta,
      gradient,
      prior,
      stream: Stream.noise,
      anchorStream: Stream.anchor,
    });
    const whole = (vector: FlatVector) =>
      vector.segment({ shard: 0, offset: 0, length: layout.shards[0], globalOffset: 0 });
    const kernel = await options.gradient?.(gpu, whole(theta), whole(gradient)) ?? { launches: [], buffers: [] };
    return new Workbench(gpu, options, { theta, gradient, control, prior, update, kernel });
  }

  /** Starts a chain: theta, and a state of zero, of normals (sghmc) or as given. */
  start(theta: Float32Array, chain: number, state?: Float32Array): void {
    const { settings, learningRate, seed = 1 } = this.#options;
    this.theta.write(theta);
    this.#step = chain * 1_000_000;
    if (state !== undefined) this.update.state?.write(state);
    else if (settings.sampler === "sghmc") {
      const noise = Math.sqrt(learningRate * settings.temperature / settings.numData);
      this.control.write({ seed, step: 0, chain, noise });
      this.update.initialiseState();
    } else this.update.state?.clear();
  }

  /** One step: the gradient of the likelihood (zero without one), then the update. */
  step(chain = 0, noisy = true): ControlValues {
    const { settings, learningRate, seed = 1, mutate } = this.#options;
    if (this.#kernel.launches.length === 0) this.gradient.clear();
    const values = controlOf(settings, { seed, chain, step: this.#step++, learningRate, noisy });
    const written = mutate?.(values) ?? values;
    this.control.write(written);
    submitLaunches(this.#gpu, "workbench", [...this.#kernel.launches, ...this.update.launches(written.priorStep!)]);
    return written;
  }

  /** Runs `steps` steps and returns theta (PyTorch's order) after each `thin`-th one. */
  async record(steps: number, chain = 0, thin = 1): Promise<Float32Array[]> {
    const count = Math.floor(steps / thin), length = this.layout.paddedCount;
    const history = this.#gpu.createBuffer("test history", count * length * 4);
    const { buffer } = this.theta.segment({ shard: 0, offset: 0, length, globalOffset: 0 });
    for (let step = 0; step < count * thin; step++) {
      this.step(chain);
      if (step % thin !== thin - 1) continue;
      const encoder = this.#gpu.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, history, Math.floor(step / thin) * length * 4, length * 4);
      this.#gpu.device.queue.submit([encoder.finish()]);
      if (step % 256 === 255) await this.#gpu.finish();
    }
    const all = new Float32Array(await this.#gpu.read(history));
    this.#gpu.destroyBuffer(history);
    const places = placesOf(this.layout);
    return Array.from({ length: count }, (_, t) => Float32Array.from(places, (place) => all[t * length + place]));
  }

  destroy(): void {
    this.theta.destroy();
    this.gradient.destroy();
    this.update.destroy();
    this.control.destroy();
    this.#prior?.destroy();
    this.#kernel.buffers.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}
