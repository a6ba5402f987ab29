/**
 * One operation on operands of its own, for timing: its forward pass and the gradient of each operand.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import type { Launch } from "../../lib/gpu/launch.ts";
import { Profiler } from "../../lib/gpu/profiler.ts";
import { compile, type ModelVectors } from "../../lib/graph/program.ts";
import { type Dispatch, type Operation, targetOf, type Tensor } from "../../lib/ops/operation.ts";
import { sizeOf } from "../../lib/tensor.ts";
import { type Spread, spreadOf } from "./statistics.ts";

/** Numbers in [-0.5, 0.5) that look random. */
export function someNumbers(count: number, seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, i) => (Math.imul(i + seed, 0x9e3779b1) >>> 8) / 2 ** 24 - 0.5);
}

/** An operation on the device. */
export interface PreparedOperation {
  /** Launches of the forward pass. */
  readonly forward: readonly Launch[];
  /** Launches of the gradient of an operand. */
  gradient(operand: string): readonly Launch[];
  /** What the operands and `dOutput` hold. */
  readonly values: ReadonlyMap<string, Float32Array>;
  /** Reads `output` or the gradient of an operand, as `d weight`. Waits for the device. */
  read(name: string): Promise<Float32Array>;
  destroy(): void;
}

/** An operation over operands of the given shapes. */
export async function prepareOperation(
  gpu: Gpu,
  shapes: Readonly<Record<string, readonly number[]>>,
  build: (tensors: Readonly<Record<string, Tensor>>) => Operation,
  wanted: readonly string[],
): Promise<PreparedOperation> {
  const buffers = new Map<Tensor, GPUBuffer>(), values = new Map<string, Float32Array>();
  const external = (name: string, shape: readonly number[]): Tensor => {
    const tensor: Tensor = { name, shape, role: "external" };
    const numbers = someNumbers(sizeOf(shape), values.size);
    values.set(name, numbers);
    buffers.set(tensor, gpu.createBuffer(name, numbers.byteLength));
    gpu.device.queue.writeBuffer(buffers.get(tensor)!, 0, numbers);
    return tensor;
  };
  const tensors = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, external(name, shape)]));
  const operation = build(tensors);
  const dOutput = external("dOutput", operation.output.shape);
  const target = targetOf(gpu, { training: true });
  const parts = new Map<string, readonly Dispatch[]>([["forward", operation.forward(target)]]);
  for (const name of wanted) {
    const slot = { tensor: external(`d ${name}`, shapes[name]), accumulate: false };
    parts.set(name, operation.backward(target, dOutput, (input) => input === tensors[name] ? slot : undefined));
  }
  const program = await compile(gpu, [...parts.values()].flat(), {
    label: operation.kind,
    vectors: {} as ModelVectors,
    externals: buffers,
    keep: [operation.output],
    runs: [...parts.values()].map(({ length }) => length),
  });
  let first = 0;
  const launches = new Map([...parts].map(([name, dispatches]) => {
    const part = program.launches.slice(first, first + dispatches.length);
    first += dispatches.length;
    return [name, part];
  }));
  return {
    forward: launches.get("forward")!,
    gradient: (operand) => launches.get(operand)!,
    values,
    async read(name) {
      const tensor = [...buffers.keys()].find((candidate) => candidate.name === name);
      const { buffer, offset, size } = name === "output"
        ? program.rangeOf(operation.output)
        : { buffer: buffers.get(tensor!)!, offset: 0, size: 4 * sizeOf(tensor!.shape) };
      return new Float32Array(await gpu.read(buffer, offset, size));
    },
    destroy() {
      program.destroy();
      buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
    },
  };
}

/** Milliseconds on the device of all launches together, over `rounds` runs after a warm-up. Waits for the device. */
export async function timeLaunches(gpu: Gpu, launches: readonly Launch[], rounds: number): Promise<Spread> {
  const profiler = new Profiler(gpu, { warmUp: 0, steps: rounds + 1 });
  try {
    for (let round = 0; round <= rounds; round++) {
      await profiler.record(round, () => {
        const encoder = gpu.device.createCommandEncoder({ label: "timed launches" });
        profiler.encode(encoder, launches);
        gpu.device.queue.submit([encoder.finish()]);
      });
    }
    return spreadOf(
      profiler.steps.slice(1).map(({ device }) => device.reduce((sum, { start, end }) => sum + end - start, 0)),
    );
  } finally {
    profiler.destroy();
  }
}
