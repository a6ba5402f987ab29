/**
 * Runs kernels for tests: opens devices, lowers single operations, uploads, runs and reads back.
 *
 * There is no way round an adapter: without one these tests fail, with `openGpu`'s message.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Gpu, type GpuOptions, openGpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { compile, type ModelVectors, type Program } from "../../lib/graph/program.ts";
import { FlatVector, layoutVector } from "../../lib/graph/vector.ts";
import {
  type Dispatch,
  type Operation,
  type Target,
  targetOf,
  type Tensor as DeviceTensor,
} from "../../lib/ops/operation.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { fromDevice, toDevice } from "./layout.ts";

/** Fails where the device reported an error or where more buffers are alive than before. */
async function checkedRun(gpu: Gpu, fn: (gpu: Gpu) => void | Promise<void>): Promise<void> {
  const before = gpu.live.count;
  await fn(gpu);
  await gpu.finish();
  assertEquals(gpu.live.count, before, "buffers that the test left on the device");
}

/** Opens a device, runs `fn` on it, checks for errors and leaks, and closes it. */
export async function withGpu(options: GpuOptions, fn: (gpu: Gpu) => void | Promise<void>): Promise<void> {
  const gpu = await openGpu(options);
  try {
    await checkedRun(gpu, fn);
  } finally {
    gpu.destroy();
  }
}

/** Registers a test that gets a device. */
export type GpuTest = (name: string, fn: (gpu: Gpu) => void | Promise<void>) => void;

/** One device for all tests of a file (pipelines are built once): each test is checked for errors and leaks. */
export function gpuTests(options: GpuOptions = {}): GpuTest {
  let opened: Promise<Gpu> | undefined;
  Deno.test.afterAll(async () => (await opened?.catch(() => undefined))?.destroy());
  return (name, fn) => {
    Deno.test(name, async () => await checkedRun(await (opened ??= openGpu(options)), fn));
  };
}

/** An operand, in PyTorch's layout but for activations, which are NHWC. */
export interface Operand {
  readonly value: Tensor;
  /** How the operand lies on the device; `labels` are unsigned integers. Default: as given. */
  readonly layout?: "vector" | "convolution" | "linear" | "labels" | "bytes";
}

/** One operation with its operands. */
export interface OperationCase {
  readonly operands: Readonly<Record<string, Operand>>;
  /** Builds the operation from device tensors of the operands' names. */
  build(tensors: Readonly<Record<string, DeviceTensor>>): Operation;
  /** Gradient of the output; without it only the forward pass is run. */
  readonly dOutput?: Tensor;
  /** BatchNorm's mode; default true. */
  readonly training?: boolean;
  /** What to build kernels for; by default what the device asks for. */
  readonly target?: Partial<Target>;
  /** The gradients' slots already hold {@linkcode earlierGradient}, to which the operation must add. */
  readonly accumulate?: boolean;
  /** Operands that get a gradient; default: all. */
  readonly wanted?: readonly string[];
}

/** What an operation left on the device, in the operands' layouts. */
export interface OperationResult {
  readonly output: Tensor;
  /** By operand, of those for which the operation asked for a slot. */
  readonly gradients: Readonly<Record<string, Tensor>>;
  /** The operands after the run: BatchNorm moves its running statistics. */
  readonly operands: Readonly<Record<string, Tensor>>;
}

/** What another consumer is said to have left in a gradient slot. */
export function earlierGradient(shape: readonly number[]): Tensor {
  const earlier = tensor(shape);
  earlier.data.forEach((_, i) => earlier.data[i] = ((i * 37) % 11 - 5) / 4);
  return earlier;
}

const NO_VECTORS = {} as ModelVectors;

/** Overwrites the memory of a program with NaN, so that an element that no kernel wrote is seen. */
function poison(gpu: Gpu, program: Program, keep: readonly DeviceTensor[]): void {
  for (const buffer of new Set(keep.map((kept) => program.rangeOf(kept).buffer))) {
    gpu.device.queue.writeBuffer(buffer, 0, new Float32Array(buffer.size / 4).fill(NaN));
  }
}

/** A tensor in a buffer of its own. */
interface Uploaded {
  readonly tensor: DeviceTensor;
  readonly buffer: GPUBuffer;
}

/** NaN behind each tensor, within its binding: what a kernel reads or writes past the end is seen. */
const TAIL = new Float32Array(1024).fill(NaN);

function upload(gpu: Gpu, name: string, { value, layout }: Operand): Uploaded {
  const { shape, words } = toDevice(value, layout);
  const buffer = gpu.createBuffer(name, words.byteLength + TAIL.byteLength);
  gpu.device.queue.writeBuffer(buffer, 0, words);
  gpu.device.queue.writeBuffer(buffer, words.byteLength, TAIL);
  return { tensor: { name, shape, role: "external" }, buffer };
}

/** Buffers of one run. */
interface Buffers {
  readonly operands: Map<string, Uploaded>;
  /** Gradients, by operand. */
  readonly slots: Map<string, Uploaded>;
  dOutput?: Uploaded;
}

/** Launches of both passes; uploads the gradient of the output and the slots that the operation asks for. */
function lower(gpu: Gpu, test: OperationCase, operation: Operation, buffers: Buffers): Dispatch[] {
  const target: Target = { ...targetOf(gpu, { training: test.training ?? true }), ...test.target };
  const dispatches = [...operation.forward(target)];
  if (test.dOutput === undefined) return dispatches;
  buffers.dOutput = upload(gpu, "dOutput", { value: test.dOutput });
  const backward = operation.backward(target, buffers.dOutput.tensor, (input) => {
    const { layout, value } = test.operands[input.name];
    if (layout === "labels" || (test.wanted && !test.wanted.includes(input.name))) return undefined;
    const known = buffers.slots.get(input.name);
    if (known !== undefined) return { tensor: known.tensor, accumulate: true };
    const before = test.accumulate ? earlierGradient(value.shape) : tensor(value.shape, value.data.map(() => NaN));
    const slot = upload(gpu, `d ${input.name}`, { value: before, layout });
    buffers.slots.set(input.name, slot);
    return { tensor: slot.tensor, accumulate: test.accumulate ?? false };
  });
  return [...dispatches, ...backward];
}

/** Reads buffers of operands or of their gradients. */
async function readAll(
  gpu: Gpu,
  test: OperationCase,
  from: ReadonlyMap<string, Uploaded>,
): Promise<Record<string, Tensor>> {
  const results: Record<string, Tensor> = {};
  for (const [name, { buffer }] of from) {
    const { value, layout } = test.operands[name];
    const bytes = await gpu.read(buffer), end = bytes.byteLength - TAIL.byteLength;
    assert(new Float32Array(bytes, end).every(Number.isNaN), `the run wrote past the end of ${buffer.label}`);
    results[name] = fromDevice(bytes.slice(0, end), value.shape, layout);
  }
  return results;
}

/** Lowers, compiles and runs one operation, forwards and backwards, and reads everything back. */
export async function runOperation(gpu: Gpu, test: OperationCase): Promise<OperationResult> {
  const buffers: Buffers = { operands: new Map(), slots: new Map() };
  const all =
    () => [...buffers.operands.values(), ...buffers.slots.values(), ...(buffers.dOutput ? [buffers.dOutput] : [])];
  let program: Program | undefined;
  try {
    for (const [name, operand] of Object.entries(test.operands)) {
      buffers.operands.set(name, upload(gpu, name, operand));
    }
    const operation = test.build(Object.fromEntries([...buffers.operands].map(([name, { tensor }]) => [name, tensor])));
    program = await compile(gpu, lower(gpu, test, operation, buffers), {
      label: operation.kind,
      vectors: NO_VECTORS,
      externals: new Map(all().map(({ tensor, buffer }) => [tensor, buffer])),
      keep: [operation.output],
    });
    poison(gpu, program, [operation.output]);
    submitLaunches(gpu, operation.kind, program.launches);
    const { buffer, offset, size } = program.rangeOf(operation.output);
    return {
      output: tensor(operation.output.shape, new Float32Array(await gpu.read(buffer, offset, size))),
      gradients: await readAll(gpu, test, buffers.slots),
      operands: await readAll(gpu, test, buffers.operands),
    };
  } finally {
    program?.destroy();
    all().forEach(({ buffer }) => gpu.destroyBuffer(buffer));
  }
}

/** Flat vectors for the parameters of a graph, zero; sharded by the device's limit. */
export function vectorsOf(
  gpu: Gpu,
  label: string,
  parametersOf: (vector: keyof ModelVectors) => Parameters<typeof layoutVector>[1],
): ModelVectors {
  const make = (name: keyof ModelVectors) =>
    new FlatVector(gpu, label, layoutVector(name, parametersOf(name), gpu.maxBindingBytes));
  return { backbone: make("backbone"), head: make("head"), state: make("state") };
}
