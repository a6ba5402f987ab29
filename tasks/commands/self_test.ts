/**
 * Runs kernels on the device and compares them with the CPU.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import { prepareLaunch, submitLaunches } from "../../lib/gpu/launch.ts";
import { philoxSource } from "../../lib/gpu/philox.ts";
import { compile, type ModelVectors } from "../../lib/graph/program.ts";
import { targetOf, type Tensor } from "../../lib/ops/operation.ts";
import { philox4x32 } from "../../lib/random/philox.ts";
import { type KernelCase, kernelCases } from "./self_test_cases.ts";

/** What came of one kernel. */
export interface SelfTestResult {
  readonly name: string;
  readonly ok: boolean;
  /**
   * Norm of the difference over the norm of what is expected; 0 for bits that are equal, `null` if the kernel did not
   * run.
   */
  readonly relativeError: number | null;
  /** What went wrong; absent where nothing did. */
  readonly problem?: string;
}

/** Largest relative error of a kernel that sums at most a few hundred float32 products. */
const TOLERANCE = 1e-5;

const BITS_SOURCE = `
@group(0) @binding(0) var<storage, read_write> bits: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  bits[id.x] = philox(vec4<u32>(id.x, 0xffffffffu - id.x, 7u, 0x80000000u), vec2<u32>(0xdeadbeefu, id.x * 0x9e3779b9u));
}
`;

const BITS_DRAWS = 64;

/** Tries every kernel of the self-test; a kernel that fails does not stop the others. */
export async function selfTest(gpu: Gpu): Promise<SelfTestResult[]> {
  const results: SelfTestResult[] = [];
  for (const kernel of kernelCases()) results.push(await attempt(kernel.name, () => relativeErrorOf(gpu, kernel)));
  results.push(await attempt("Philox random bits", () => wrongBits(gpu)));
  return results;
}

async function attempt(name: string, measure: () => Promise<number>): Promise<SelfTestResult> {
  try {
    const relativeError = await measure();
    if (relativeError <= TOLERANCE) return { name, ok: true, relativeError };
    const problem = `differs from the CPU by ${relativeError.toExponential(1)}, at most ${TOLERANCE} is required`;
    return { name, ok: false, relativeError, problem };
  } catch (error) {
    return { name, ok: false, relativeError: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

async function relativeErrorOf(gpu: Gpu, kernel: KernelCase): Promise<number> {
  const buffers = new Map<Tensor, GPUBuffer>();
  const tensors: Record<string, Tensor> = {};
  for (const [name, { shape, values }] of Object.entries(kernel.operands)) {
    tensors[name] = { name, shape, role: "external" };
    const buffer = gpu.createBuffer(`self-test ${name}`, values.byteLength);
    buffers.set(tensors[name], buffer);
    gpu.device.queue.writeBuffer(buffer, 0, values);
  }
  try {
    const operation = kernel.build(tensors);
    const program = await compile(gpu, operation.forward(targetOf(gpu, { training: true })), {
      label: kernel.name,
      vectors: {} as ModelVectors,
      externals: buffers,
      keep: [operation.output],
    });
    try {
      submitLaunches(gpu, kernel.name, program.launches);
      const { buffer, offset, size } = program.rangeOf(operation.output);
      return distance(new Float32Array(await gpu.read(buffer, offset, size)), kernel.expected());
    } finally {
      program.destroy();
    }
  } finally {
    buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
  }
}

/** Relative distance of two vectors; infinite where one has a NaN. */
function distance(found: Float32Array, expected: Float64Array): number {
  let difference = 0, norm = 0;
  expected.forEach((value, i) => {
    difference += (found[i] - value) ** 2;
    norm += value ** 2;
  });
  return Number.isNaN(difference) ? Infinity : Math.sqrt(difference / norm);
}

/** Number of 32-bit words that differ from those of the CPU. */
async function wrongBits(gpu: Gpu): Promise<number> {
  const buffer = gpu.createBuffer("self-test bits", BITS_DRAWS * 16);
  try {
    const kernel = {
      label: "self-test bits",
      source: philoxSource(gpu) + BITS_SOURCE,
      constants: {},
      groups: [1, 1, 1] as const,
    };
    const launch = await prepareLaunch(gpu, kernel, [{ buffer, offset: 0, size: buffer.size }]);
    submitLaunches(gpu, kernel.label, [launch]);
    const found = new Uint32Array(await gpu.read(buffer));
    let wrong = 0;
    for (let i = 0; i < BITS_DRAWS; i++) {
      const key = [0xdeadbeef, Math.imul(i, 0x9e3779b9) >>> 0] as const;
      philox4x32([i, 0xffffffff - i, 7, 0x80000000], key).forEach((word, j) =>
        wrong += Number(found[4 * i + j] !== word)
      );
    }
    return wrong;
  } finally {
    gpu.destroyBuffer(buffer);
  }
}
