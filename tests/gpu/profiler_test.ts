import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { type Launch, prepareLaunch } from "../../lib/gpu/launch.ts";
import { copyBandwidth, measurePeaks } from "../../lib/gpu/peaks.ts";
import { Profiler } from "../../lib/gpu/profiler.ts";
import { gpuTests } from "./harness.ts";

const gpuTest = gpuTests();

/** Adds 1 to each element; `ROUNDS` times, for a launch that takes its time. */
const SOURCE = `@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  for (var round = 0u; round < ROUNDS; round++) { values[id.x] += 1.0; }
}`;

function addition(gpu: Gpu, buffer: GPUBuffer, label: string, rounds: number): Promise<Launch> {
  const constants = { ROUNDS: rounds };
  const kernel = { label, source: SOURCE, constants, groups: [buffer.size / 256, 1, 1] as const };
  return prepareLaunch(gpu, kernel, [{ buffer, offset: 0, size: buffer.size }]);
}

/** Profiles one step of these launches. */
async function profile(gpu: Gpu, launches: readonly Launch[]) {
  const profiler = new Profiler(gpu, { warmUp: 0, steps: 1 });
  await profiler.record(7, () => {
    profiler.mark("encode");
    const encoder = gpu.device.createCommandEncoder();
    profiler.encode(encoder, launches);
    const commands = encoder.finish();
    profiler.mark("submit");
    gpu.device.queue.submit([commands]);
  });
  profiler.destroy();
  return profiler.steps[0];
}

gpuTest("Profiler times every launch in order, within the time that the host waited", async (gpu) => {
  const buffer = gpu.createBuffer("values", 4 * 64 * 64);
  const launches = [
    await addition(gpu, buffer, "short 0", 1),
    await addition(gpu, buffer, "long 1", 2000),
    await addition(gpu, buffer, "short 2", 1),
  ];
  const { step, host, device } = await profile(gpu, launches);
  assertEquals([step, host.map(({ name }) => name)], [7, ["encode", "submit", "wait"]]);
  assertEquals(device.map(({ name, kind, bytes }) => [name, kind, bytes]), [
    ["short 0", "short", 16384],
    ["long 1", "long", 16384],
    ["short 2", "short", 16384],
  ]);
  const spans = [...host, ...device];
  for (const { start, end } of spans) assert(end >= start);
  for (const list of [host, device]) for (let i = 1; i < list.length; i++) assert(list[i].start >= list[i - 1].end);
  assert(device[2].end <= host[2].end, "the device is done when the host has read its times");
  // The first launch pays for the driver's compilation, which the last one shares.
  const [, long, short] = device.map(({ start, end }) => end - start);
  assert(long > 5 * short, `2,000 additions took ${long} ms and one ${short} ms`);
  assert(new Float32Array(await gpu.read(buffer)).every((value) => value === 2002));
  gpu.destroyBuffer(buffer);
});

gpuTest("Profiler times more launches than a query set holds", async (gpu) => {
  const buffer = gpu.createBuffer("values", 256);
  const launch = await addition(gpu, buffer, "short", 1);
  const { device } = await profile(gpu, Array(2050).fill(launch));
  assertEquals(device.length, 2050);
  for (let i = 1; i < device.length; i++) {
    assert(device[i].start >= device[i - 1].start && device[i].end > device[i].start);
  }
  assertEquals(new Float32Array(await gpu.read(buffer))[0], 2050);
  gpu.destroyBuffer(buffer);
});

gpuTest("Profiler is due for as many steps as it was asked for, after the warm-up", (gpu) => {
  const profiler = new Profiler(gpu, { warmUp: 2, steps: 3 });
  assertEquals(Array.from({ length: 7 }, () => profiler.due()), [false, false, true, true, true, false, false]);
});

gpuTest("Profiler refuses a device without timestamps", (gpu) => {
  const device = { features: new Set(["subgroups"]) };
  assertThrows(
    () => new Profiler({ device } as unknown as Gpu, { warmUp: 0, steps: 1 }),
    TypeError,
    "timestamp-query is required",
  );
  assert(gpu.device.features.has("timestamp-query"));
});

gpuTest("measurePeaks() finds rates that no kernel here exceeds", async (gpu) => {
  const { flops, bandwidth } = await measurePeaks(gpu);
  const buffer = gpu.createBuffer("values", 2 ** 20);
  const rounds = 200;
  const { device: [, { start, end }] } = await profile(gpu, Array(2).fill(await addition(gpu, buffer, "add", rounds)));
  const additions = buffer.size / 4 * rounds / (end - start) * 1000;
  assert(additions < flops, `${additions} additions a second exceed the peak of ${flops}`);
  assert(bandwidth > 0 && Number.isFinite(bandwidth) && await copyBandwidth(gpu, 2 ** 16) > 0);
  gpu.destroyBuffer(buffer);
});
