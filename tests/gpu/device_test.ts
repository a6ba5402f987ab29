import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { DeviceLostError, GpuValidationError, NoAdapterError, OutOfMemoryError } from "../../lib/errors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { prepareLaunch, submitLaunches } from "../../lib/gpu/launch.ts";
import { gpuTests, withGpu } from "./harness.ts";

const gpuTest = gpuTests();

const DOUBLE = `
@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) { if (id.x < COUNT) { values[id.x] *= FACTOR; } }`;

const whole = (buffer: GPUBuffer) => ({ buffer, offset: 0, size: buffer.size });

/** Opens a device that the test may break, and closes it. */
async function withBroken(fn: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu();
  try {
    await fn(gpu);
  } finally {
    gpu.destroy();
  }
}

Deno.test("openGpu() without an adapter says how to get one", async () => {
  const none = { requestAdapter: () => Promise.resolve(null) };
  const error = await assertRejects(() => openGpu({ api: none }), NoAdapterError);
  assertStringIncludes(error.message, "no adapter was found");
  assertStringIncludes(error.message, "apt-get install -y mesa-vulkan-drivers libvulkan1");
});

Deno.test("openGpu() on an adapter that grants no device says why", async () => {
  const adapter = { limits: {}, info: {}, requestDevice: () => Promise.reject(new TypeError("the driver is busy")) };
  const api = { requestAdapter: () => Promise.resolve(adapter as unknown as GPUAdapter) };
  const error = await assertRejects(() => openGpu({ api }), NoAdapterError);
  assertStringIncludes(error.message, "the driver is busy");
});

Deno.test("openGpu() asks for ever fewer features where an adapter does not grant all of them", async () => {
  const asked: string[][] = [];
  const requestDevice = ({ requiredFeatures }: GPUDeviceDescriptor) => {
    asked.push([...requiredFeatures!]);
    return Promise.reject(new TypeError("not granted"));
  };
  const attempt = (info: Record<string, unknown>) => {
    asked.length = 0;
    const adapter = { limits: {}, info: { subgroupMinSize: 8, subgroupMaxSize: 8, ...info }, requestDevice };
    const api = { requestAdapter: () => Promise.resolve(adapter as unknown as GPUAdapter) };
    return assertRejects(() => openGpu({ api }), NoAdapterError);
  };
  await attempt({ device: "NVIDIA" });
  assertEquals(asked, [["subgroups", "timestamp-query"], ["subgroups"], ["timestamp-query"], []]);
  await attempt({ device: "llvmpipe" });
  assertEquals(asked[0], ["subgroups", "timestamp-query", "wgpu-shader-int64"]);
  assertEquals(new Set(asked.map(String)).size, 8, "subsets");
  await attempt({ device: "NVIDIA", subgroupMaxSize: 32 });
  assertEquals(asked, [["timestamp-query"], []]);
});

gpuTest("openGpu() describes the adapter and raises its limits", (gpu) => {
  assert(gpu.adapter.description !== "" || gpu.adapter.device !== "");
  assert(gpu.maxBindingBytes >= 128 * 2 ** 20);
  assert(gpu.subgroupSize === 0 || (gpu.subgroupSize & (gpu.subgroupSize - 1)) === 0);
  assertEquals(gpu.wideIntegers, gpu.adapter.isCpu, "integers of 64 bits, which lavapipe has");
});

Deno.test("openGpu() with noSubgroups, noWideIntegers or maxBindingBytes holds back", async () => {
  await withGpu({ noSubgroups: true, noWideIntegers: true, maxBindingBytes: 4096 }, (gpu) => {
    assertEquals(gpu.subgroupSize, 0);
    assertEquals(gpu.wideIntegers, false);
    assertEquals(gpu.maxBindingBytes, 4096);
  });
});

gpuTest("Gpu counts its buffers, rounds them up to words and zeroes them", async (gpu) => {
  const before = gpu.live;
  const first = gpu.createBuffer("first", 0), second = gpu.createBuffer("second", 1001);
  assertEquals(gpu.live, { count: before.count + 2, bytes: before.bytes + 4 + 1004 });
  assert(new Uint8Array(await gpu.read(second)).every((byte) => byte === 0));
  gpu.destroyBuffer(first);
  gpu.destroyBuffer(second);
  assertEquals(gpu.live, before);
});

gpuTest("Gpu.writeBytes() writes any number of bytes, and nothing behind their last four", async (gpu) => {
  const buffer = gpu.createBuffer("bytes", 16);
  for (let count = 0; count <= 9; count++) {
    gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(16).fill(9));
    // A view: what lies before it must not be written.
    const bytes = Uint8Array.from({ length: count + 3 }, (_, i) => i).subarray(3);
    gpu.writeBytes(buffer, bytes);
    const expected = new Uint8Array(16).fill(9);
    expected.fill(0, 0, Math.ceil(count / 4) * 4);
    expected.set(bytes);
    assertEquals(new Uint8Array(await gpu.read(buffer)), expected);
  }
  gpu.destroyBuffer(buffer);
});

gpuTest("Gpu.read() reads a part of a buffer", async (gpu) => {
  const buffer = gpu.createBuffer("values", 64);
  gpu.device.queue.writeBuffer(buffer, 0, Float32Array.from({ length: 16 }, (_, i) => i));
  assertEquals([...new Float32Array(await gpu.read(buffer, 8, 12))], [2, 3, 4]);
  assertEquals(new Float32Array(await gpu.read(buffer, 60))[0], 15);
  gpu.destroyBuffer(buffer);
});

gpuTest("prepareLaunch() builds a pipeline once, with labels, and NaN and infinities pass through it", async (gpu) => {
  const buffer = gpu.createBuffer("values", 16);
  gpu.device.queue.writeBuffer(buffer, 0, Float32Array.of(NaN, Infinity, -Infinity, 3e38));
  const kernel = {
    label: "double",
    source: DOUBLE,
    constants: { COUNT: 4 },
    floats: { FACTOR: 2 },
    groups: [1, 1, 1] as const,
  };
  const launch = await prepareLaunch(gpu, kernel, [whole(buffer)]);
  const again = await prepareLaunch(gpu, { ...kernel, label: "again" }, [whole(buffer)]);
  assertEquals(launch.pipeline, again.pipeline);
  assertEquals(launch.label, "double");
  assertEquals([buffer.label, launch.pipeline.label, launch.bindGroup.label], ["values", "double", "double"]);
  assertEquals([gpu.device.label, gpu.bindGroupLayout(["buffer"]).label], ["swagpu", "buffer"]);
  submitLaunches(gpu, "double", [launch]);
  assertEquals([...new Float32Array(await gpu.read(buffer))], [NaN, Infinity, -Infinity, Infinity]);
  gpu.destroyBuffer(buffer);
});

gpuTest("prepareLaunch() names a kernel that does not compile, and the device goes on", async (gpu) => {
  const buffer = gpu.createBuffer("values", 16);
  const kernel = {
    label: "broken kernel",
    source: DOUBLE.replace("values[", "value["),
    constants: { COUNT: 4 },
    floats: { FACTOR: 2 },
    groups: [1, 1, 1] as const,
  };
  const build = () => prepareLaunch(gpu, kernel, [whole(buffer)]);
  const error = await assertRejects(build, GpuValidationError, "Cannot build kernel broken kernel: ");
  assertStringIncludes(error.message, "value");
  await assertRejects(build, GpuValidationError, "broken kernel");
  await assertRejects(() => prepareLaunch(gpu, { ...kernel, source: DOUBLE, entryPoint: "other" }, [whole(buffer)]));
  assertEquals(new Float32Array(await gpu.read(buffer)).length, 4);
  gpu.destroyBuffer(buffer);
});

Deno.test("prepareLaunch() refuses a binding above the limit and Gpu a buffer above the device's", async () => {
  await withGpu({ maxBindingBytes: 4096 }, async (gpu) => {
    const buffer = gpu.createBuffer("large", 8192);
    const kernel = { label: "double", source: DOUBLE, constants: { COUNT: 4 }, floats: { FACTOR: 2 } };
    const build = (size: number) => prepareLaunch(gpu, { ...kernel, groups: [1, 1, 1] }, [{ buffer, offset: 0, size }]);
    await assertRejects(
      () => build(8192),
      OutOfMemoryError,
      "Cannot bind 8192 bytes of large for double: the device's limit is 4096 bytes; use a smaller batch",
    );
    await build(4096);
    gpu.destroyBuffer(buffer);
    const live = gpu.live.count;
    assertThrows(() => gpu.createBuffer("huge", 2 ** 52), OutOfMemoryError, "Cannot create buffer huge of");
    assertEquals(gpu.live.count, live);
  });
});

Deno.test("Gpu.check() reports a command that the device refused, at the next read", async () => {
  await withBroken(async (gpu) => {
    gpu.check();
    const small = gpu.createBuffer("small", 16), large = gpu.createBuffer("large", 64);
    const encoder = gpu.device.createCommandEncoder({ label: "past the end" });
    encoder.copyBufferToBuffer(large, 0, small, 0, 64);
    gpu.device.queue.submit([encoder.finish()]);
    await assertRejects(() => gpu.read(large), GpuValidationError, "the device refused a command");
    assertThrows(() => gpu.check(), GpuValidationError);
    await assertRejects(() => gpu.finish(), GpuValidationError);
  });
});

Deno.test("Gpu.check() reports a lost device, and so does everything after it", async () => {
  await withBroken(async (gpu) => {
    const buffer = gpu.createBuffer("values", 16);
    gpu.device.destroy();
    await assertRejects(() => gpu.read(buffer), DeviceLostError);
    await gpu.device.lost;
    assertThrows(() => gpu.check(), DeviceLostError, "Cannot use the device: it was lost");
    await assertRejects(() => gpu.read(buffer), DeviceLostError, "a new one must be opened");
    await assertRejects(() => gpu.finish(), DeviceLostError);
    const kernel = { label: "double", source: DOUBLE, constants: { COUNT: 4 }, floats: { FACTOR: 2 } };
    await assertRejects(() => prepareLaunch(gpu, { ...kernel, groups: [1, 1, 1] }, [whole(buffer)]), DeviceLostError);
  });
});

Deno.test("Gpu.destroy() frees everything and is no failure", async () => {
  const gpu = await openGpu();
  gpu.createBuffer("left over", 1024);
  gpu.destroy();
  assertEquals(gpu.live, { count: 0, bytes: 0 });
  await gpu.device.lost;
  gpu.check();
});

Deno.test("openGpu() takes the schedule that the adapter asks for, or the one that is given", async () => {
  await withGpu({}, (gpu) => assertEquals(gpu.schedule, gpu.adapter.isCpu ? "cpu" : "gpu"));
  for (const schedule of ["cpu", "gpu"] as const) {
    await withGpu({ schedule }, (gpu) => assertEquals(gpu.schedule, schedule));
  }
});

gpuTest("Gpu.forgettingPipelines() drops what was made meanwhile, and no more", async (gpu) => {
  const code = (value: number) => `@compute @workgroup_size(1) fn main() { let unused = ${value}u; }`;
  const first = await gpu.pipeline("first", code(1), []);
  const [again, tried] = await gpu.forgettingPipelines(async () => {
    return [await gpu.pipeline("first", code(1), []), await gpu.pipeline("tried", code(2), [])];
  });
  assertEquals(again, first);
  assertEquals(await gpu.pipeline("first", code(1), []), first);
  assert(await gpu.pipeline("tried", code(2), []) !== tried);
});
