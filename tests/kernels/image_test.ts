import { assert, assertEquals, assertThrows } from "@std/assert";
import { IMAGE_WIDTH, imageBindings } from "../../kernels/image.ts";
import { widenFloat16 } from "../../lib/checkpoint/half.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { HeldImages, imageBytes, Images } from "../../lib/gpu/images.ts";
import {
  bindingsOf,
  encodeTimed,
  imagesOf,
  type KernelLaunch,
  prepareLaunch,
  submitLaunches,
} from "../../lib/gpu/launch.ts";
import { gpuTests } from "../gpu/harness.ts";
import { hashedUnit } from "../reference/hashed.ts";

const gpuTest = gpuTests();

/** output[i] = input[COUNT - 1 - i]. */
const REVERSE = `
#if W == 4
alias Item = vec4<f32>;
#end
#if W == 2
alias Item = vec2<f32>;
#end
#if W == 1
alias Item = f32;
#end
@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> output: array<Item>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  if (at.x < COUNT) { output[at.x] = input[i32(COUNT - 1u) - i32(at.x)]; }
}`;

function reversing(width: number, numbers: number, packed: readonly number[] = []): KernelLaunch {
  const count = numbers / width;
  return {
    label: "reverse",
    source: REVERSE,
    constants: { W: width, COUNT: count },
    images: [0],
    packed,
    groups: [Math.ceil(count / 64), 1, 1],
  };
}

/** The bits of `values`, `width` at a time from the last to the first. */
function reversed<T extends Uint32Array | Uint16Array>(values: T, width: number): T {
  return values.map((_, i) => values[values.length - width - i + 2 * (i % width)]) as T;
}

/** What the kernel leaves, run out of an image. */
async function reverse(gpu: Gpu, kernel: KernelLaunch, values: Uint32Array | Uint16Array): Promise<ArrayBuffer> {
  const buffers = [values, values].map((data) => {
    const buffer = gpu.createBuffer("test", data.byteLength);
    gpu.device.queue.writeBuffer(buffer, 0, data as Uint32Array<ArrayBuffer>);
    return buffer;
  });
  const ranges = buffers.map((buffer) => ({ buffer, offset: 0, size: buffer.size }));
  const images = new Images(gpu, [bindingsOf(kernel, ranges)]);
  const launch = await prepareLaunch(gpu, kernel, ranges, images.ofLaunch(0));
  assertEquals(launch.copies.length, 1);
  submitLaunches(gpu, "reverse", [launch]);
  const bytes = await gpu.read(buffers[1]);
  buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
  images.destroy();
  return bytes;
}

/** Numbers whose bits a detour through arithmetic would change. */
const SPECIAL = Float32Array.of(0, -0, 1e-40, -1e-45, Infinity, -Infinity, 3.4e38, 1);

for (const width of [1, 2, 4]) {
  for (
    const [name, numbers] of [["one dimension", 520], ["rows and a bit", 36 * IMAGE_WIDTH + 24], [
      "whole rows",
      40 * IMAGE_WIDTH,
    ]]
  ) {
    gpuTest(`a kernel reads items of ${width} out of an image of ${name}, bit for bit`, async (gpu) => {
      const floats = Float32Array.from({ length: Number(numbers) }, (_, i) => SPECIAL[i] ?? hashedUnit(3, i));
      const values = new Uint32Array(floats.buffer);
      const found = new Uint32Array(await reverse(gpu, reversing(width, values.length), values));
      assertEquals(found, reversed(values, width));
    });
  }
}

gpuTest("a kernel reads every f16 out of an image as out of a buffer", async (gpu) => {
  const values = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
  for (const width of [2, 4]) {
    const found = new Uint16Array(await reverse(gpu, reversing(width, values.length, [0, 1]), values));
    // What a NaN carries is anyone's guess.
    assertEquals(widenFloat16(found), widenFloat16(reversed(values, width)));
  }
});

gpuTest(
  "launches that share images read their own numbers, what an earlier one left, and those of each run",
  async (gpu) => {
    // Six chains of a source, what one launch makes of it, and what another makes of that: more images than there are.
    const sizes = [64, 256, 36 * IMAGE_WIDTH + 64, 40 * IMAGE_WIDTH, 128, 44 * IMAGE_WIDTH];
    const chains = sizes.map((size) => ["source", "between", "output"].map((name) => gpu.createBuffer(name, 4 * size)));
    const whole = (buffer: GPUBuffer) => ({ buffer, offset: 0, size: buffer.size });
    const bound = [0, 1].flatMap((link) =>
      sizes.map((size, i) => ({
        kernel: reversing(4, size),
        ranges: [whole(chains[i][link]), whole(chains[i][link + 1])],
      }))
    );
    const images = new Images(gpu, bound.map(({ kernel, ranges }) => bindingsOf(kernel, ranges)));
    const launches = await Promise.all(
      bound.map(({ kernel, ranges }, i) => prepareLaunch(gpu, kernel, ranges, images.ofLaunch(i))),
    );
    for (const run of [1, 2]) {
      const values = sizes.map((size, i) => Float32Array.from({ length: size }, (_, k) => hashedUnit(run + 10 * i, k)));
      chains.forEach(([source], i) => gpu.device.queue.writeBuffer(source, 0, values[i]));
      submitLaunches(gpu, "run", launches);
      for (const [i, [, between, output]] of chains.entries()) {
        const bits = new Uint32Array(values[i].buffer);
        assertEquals(new Uint32Array(await gpu.read(between)), reversed(bits, 4));
        assertEquals(new Uint32Array(await gpu.read(output)), bits);
      }
    }
    images.destroy();
    chains.flat().forEach((buffer) => gpu.destroyBuffer(buffer));
  },
);

gpuTest("runs of launches that share images need nothing of one another", async (gpu) => {
  const [source, ...outputs] = [0, 1, 2].map(() => gpu.createBuffer("test", 256));
  const whole = (buffer: GPUBuffer) => ({ buffer, offset: 0, size: buffer.size });
  const bound = outputs.map((output) => [whole(source), whole(output)]), kernel = reversing(4, 64);
  const uses = bound.map((ranges) => bindingsOf(kernel, ranges));
  const together = new Images(gpu, uses), apart = new Images(gpu, uses, [1, 1]);
  const copies = (images: Images) => uses.map((_, i) => images.ofLaunch(i).copies.length);
  assertEquals([copies(together), copies(apart)], [[1, 0], [1, 1]]);
  const values = Float32Array.from({ length: 64 }, (_, i) => hashedUnit(9, i));
  const second = await prepareLaunch(gpu, kernel, bound[1], apart.ofLaunch(1));
  gpu.device.queue.writeBuffer(source, 0, values);
  submitLaunches(gpu, "the second run", [second]);
  const found = new Uint32Array(await gpu.read(outputs[1]));
  assertEquals(found, reversed(new Uint32Array(values.buffer), 4));
  together.destroy();
  apart.destroy();
  [source, ...outputs].forEach((buffer) => gpu.destroyBuffer(buffer));
});

gpuTest("an image that is held keeps its numbers when the buffer is gone", async (gpu) => {
  const values = Float32Array.from({ length: 9 * 4 * IMAGE_WIDTH }, (_, i) => hashedUnit(5, i));
  const [source, output] = [0, 1].map(() => gpu.createBuffer("test", values.byteLength));
  gpu.device.queue.writeBuffer(source, 0, values);
  const ranges = [source, output].map((buffer) => ({ buffer, offset: 0, size: buffer.size }));
  const held = new HeldImages(gpu), kernel = reversing(4, values.length);
  const launches = [await prepareLaunch(gpu, kernel, ranges, held), await prepareLaunch(gpu, kernel, ranges, held)];
  assertEquals(gpu.live.count, 3);
  gpu.destroyBuffer(source);
  for (const launch of launches) {
    assertEquals(launch.copies, []);
    submitLaunches(gpu, "held", [launch]);
    const found = new Uint32Array(await gpu.read(output));
    assertEquals(found, reversed(new Uint32Array(values.buffer), 4));
  }
  held.destroy();
  gpu.destroyBuffer(output);
});

gpuTest("a launch without images, or with a binding that no image holds, reads its buffer", async (gpu) => {
  assertEquals(imagesOf(reversing(1, 63), [63 * 4]), []);
  assertEquals(imagesOf(reversing(4, 64), [16 * 8192 * IMAGE_WIDTH + 16]), []);
  const buffers = [0, 1].map((k) => gpu.createBuffer(`buffer ${k}`, 256));
  const ranges = buffers.map((buffer) => ({ buffer, offset: 0, size: buffer.size }));
  const launch = await prepareLaunch(gpu, reversing(4, 64), ranges);
  assertEquals(launch.copies, []);
  buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
});

gpuTest("images count as memory of the device, as much as imageBytes() says", (gpu) => {
  const before = gpu.live.bytes;
  const buffer = gpu.createBuffer("test", 300 * 16), after = gpu.live.bytes;
  const range = { buffer, offset: 0, size: buffer.size };
  const requests = [
    { index: 0, texels: 100, format: "rgba32float", range },
    { index: 0, texels: 300, format: "rgba32float", range },
    { index: 1, texels: 9 * IMAGE_WIDTH + 1, format: "rgba16float", range },
  ] as const;
  assertEquals(imageBytes(requests), 2 * 300 * 16 + 10 * IMAGE_WIDTH * 8);
  const small = requests.slice(0, 2);
  const images = new Images(gpu, small.map((request) => ({ images: [request], buffers: [] })));
  assertEquals(gpu.live.bytes - after, imageBytes(small));
  gpu.destroyBuffer(buffer);
  images.destroy();
  assertEquals(gpu.live.bytes, before);
});

gpuTest("the copy into an image counts in the time of a launch", async (gpu) => {
  if (!gpu.device.features.has("timestamp-query")) return;
  const size = 2 ** 22;
  const buffers = [0, 1].map((k) => gpu.createBuffer(`buffer ${k}`, 4 * size));
  const ranges = buffers.map((buffer) => ({ buffer, offset: 0, size: buffer.size }));
  // One item is read of all that is copied.
  const kernel = { ...reversing(4, 4), groups: [1, 1, 1] as const };
  const images = new Images(gpu, [bindingsOf(kernel, ranges)]);
  const launch = await prepareLaunch(gpu, kernel, ranges, images.ofLaunch(0)),
    plain = await prepareLaunch(gpu, kernel, ranges);
  const querySet = gpu.device.createQuerySet({ type: "timestamp", count: 4 });
  const resolved = gpu.createBuffer("times", 32, GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC);
  let copied = Infinity, without = Infinity;
  for (let round = 0; round < 5; round++) {
    const encoder = gpu.device.createCommandEncoder();
    encodeTimed(encoder, [launch], querySet, 0);
    encodeTimed(encoder, [plain], querySet, 2);
    encoder.resolveQuerySet(querySet, 0, 4, resolved, 0);
    gpu.device.queue.submit([encoder.finish()]);
    const times = new BigUint64Array(await gpu.read(resolved));
    copied = Math.min(copied, Number(times[1] - times[0]));
    without = Math.min(without, Number(times[3] - times[2]));
  }
  // 16 MiB at no more than 200 GB/s, read and written.
  assert(copied - without > 160_000, `${copied} ns with the copy, ${without} ns without`);
  images.destroy();
  querySet.destroy();
  [...buffers, resolved].forEach((buffer) => gpu.destroyBuffer(buffer));
});

Deno.test("imageBindings() leaves a text alone without images, and refuses what cannot be read out of one", () => {
  const kernel = (type: string, body: string) =>
    `@group(0) @binding(0) var<storage, read_write> x: array<${type}>;\nfn main() { ${body} }`;
  const image = { index: 0, texels: 8, format: "rgba32float" } as const;
  assertEquals(imageBindings(kernel("f32", "// a comment"), []), kernel("f32", "// a comment"));
  assert(imageBindings(kernel("f32", "let y = x[x[0]];"), [image]).includes("texel_x(u32(texel_x(u32(0))))"));
  const reject = (code: string, message: string) =>
    assertThrows(() => imageBindings(code, [image]), SyntaxError, message);
  reject(kernel("f32", "x[0] = 1.0;"), "it can only be read");
  reject(kernel("f32", "x[0] += 1.0;"), "it can only be read");
  reject(kernel("u32", "let y = x[0];"), "items of f32 are required");
  reject("fn main() {}", "binding 0");
});
