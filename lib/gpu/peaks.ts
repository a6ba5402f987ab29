/**
 * What a device does at most, measured: the yardstick of a profile.
 *
 * @module
 */

import arithmeticSource from "../../kernels/peak_arithmetic.wgsl" with { type: "text" };
import type { Gpu } from "./device.ts";
import { prepareLaunch } from "./launch.ts";
import { Profiler } from "./profiler.ts";

/** Highest rates that were seen. */
export interface Peaks {
  /** Additions and multiplications a second, in float32, of a kernel of multiply-adds. */
  readonly flops: number;
  /** Bytes a second of a copy from buffer to buffer, reads and writes counted. */
  readonly bandwidth: number;
}

/** Runs of which the fastest counts; the first is left out. */
const TRIES = 8;
const COPY_BYTES = 2 ** 26;
const CHAINS = 8, UNROLLED = 16, ROUNDS = 32, WORKGROUPS = 4096, WORKGROUP_SIZE = 64;

/**
 * Measures arithmetic and memory. Waits for the device.
 *
 * @throws TypeError where the device has no timestamps
 */
export async function measurePeaks(gpu: Gpu): Promise<Peaks> {
  return { flops: await peakFlops(gpu), bandwidth: await copyBandwidth(gpu, COPY_BYTES) };
}

/** Bytes a second, reads and writes counted, of copying `bytes` from buffer to buffer. Waits for the device. */
export async function copyBandwidth(gpu: Gpu, bytes: number): Promise<number> {
  const { device } = gpu;
  const from = gpu.createBuffer("copied", bytes), to = gpu.createBuffer("copy", bytes);
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const resolved = gpu.createBuffer("timestamps of copies", 16 * TRIES, usage);
  const querySet = device.createQuerySet({ label: "timestamps of copies", type: "timestamp", count: 2 * TRIES });
  try {
    const encoder = device.createCommandEncoder({ label: "copies" });
    // A copy takes no timestamps; empty passes before and behind it do.
    for (let i = 0; i < TRIES; i++) {
      encoder.beginComputePass({ timestampWrites: { querySet, endOfPassWriteIndex: 2 * i } }).end();
      encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
      encoder.beginComputePass({ timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i + 1 } }).end();
    }
    encoder.resolveQuerySet(querySet, 0, 2 * TRIES, resolved, 0);
    device.queue.submit([encoder.finish()]);
    const times = new BigUint64Array(await gpu.read(resolved));
    const seconds = Array.from({ length: TRIES }, (_, i) => Number(times[2 * i + 1] - times[2 * i]) / 1e9);
    return 2 * from.size / Math.min(...seconds.slice(1));
  } finally {
    querySet.destroy();
    [from, to, resolved].forEach((buffer) => gpu.destroyBuffer(buffer));
  }
}

/** Additions and multiplications a second. */
async function peakFlops(gpu: Gpu): Promise<number> {
  const profiler = new Profiler(gpu, { warmUp: 0, steps: 1 });
  const output = gpu.createBuffer("sums", WORKGROUPS * WORKGROUP_SIZE * 16);
  try {
    const launch = await prepareLaunch(gpu, {
      label: "peak arithmetic",
      flops: WORKGROUPS * WORKGROUP_SIZE * CHAINS * UNROLLED * ROUNDS * 8,
      source: arithmeticSource,
      constants: { CHAINS, UNROLLED, ROUNDS },
      groups: [WORKGROUPS, 1, 1],
    }, [{ buffer: output, offset: 0, size: output.size }]);
    await profiler.record(0, () => {
      const encoder = gpu.device.createCommandEncoder({ label: launch.label });
      profiler.encode(encoder, Array(TRIES).fill(launch));
      gpu.device.queue.submit([encoder.finish()]);
    });
    const milliseconds = profiler.steps[0].device.slice(1).map(({ start, end }) => end - start);
    return launch.flops! / Math.min(...milliseconds) * 1000;
  } finally {
    profiler.destroy();
    gpu.destroyBuffer(output);
  }
}
