import { assert, assertEquals, assertThrows } from "@std/assert";
import { packBindings } from "../../kernels/half.ts";
import { narrowFloat16, widenFloat16 } from "../../lib/checkpoint/half.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { prepareLaunch, submitLaunches } from "../../lib/gpu/launch.ts";
import { gpuTests } from "../gpu/harness.ts";
import { hashedUnit } from "../reference/hashed.ts";

const gpuTest = gpuTests();

/** Copies ITEMS items of four; the index is signed, the statement stands on two lines. */
const COPY = `
alias Item = vec4<f32>;
@group(0) @binding(0) var<storage, read_write> input: array<Item>; // input[0] stays
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  if (lane >= ITEMS) { return; }
#if KIND == 0
  output[lane] = select(vec4<f32>(0.0), input[i32(lane)],
    lane < ITEMS);
#end
#if KIND == 1
  output[lane] += FACTOR * input[min(lane, u32(input[lane].x) + ITEMS)];
#end
#if KIND == 2
  output[lane] *= input[lane] - input[lane] / 2.0;
#end
}`;

/** What a copy of `values` leaves in `before`, each in f16 where `packed` names its binding. */
async function copy(
  gpu: Gpu,
  kind: number,
  values: Float32Array,
  before: Float32Array,
  packed: readonly number[],
  factor = 1,
): Promise<Float32Array> {
  const buffers = [values, before].map((numbers, binding) => {
    const data = packed.includes(binding) ? narrowFloat16(numbers) : numbers;
    const buffer = gpu.createBuffer("test", data.byteLength);
    gpu.device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
    return buffer;
  });
  const kernel = {
    label: "copy",
    source: COPY,
    constants: { KIND: kind, ITEMS: values.length / 4 },
    floats: { FACTOR: factor },
    packed,
    groups: [1, 1, 1] as const,
  };
  const launch = await prepareLaunch(gpu, kernel, buffers.map((buffer) => ({ buffer, offset: 0, size: buffer.size })));
  submitLaunches(gpu, "copy", [launch]);
  const bytes = await gpu.read(buffers[1]);
  buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
  return packed.includes(1) ? widenFloat16(new Uint16Array(bytes)) : new Float32Array(bytes);
}

const rounded = (values: Float32Array) => widenFloat16(narrowFloat16(values));

gpuTest("a packed output is the nearest f16: ties to even, subnormals, signed zeros", async (gpu) => {
  const values = Float32Array.of(
    1,
    1 + 2 ** -11,
    1 + 2 ** -11 + 2 ** -20,
    1 + 3 * 2 ** -11,
    -1 / 3,
    65504,
    65519.99,
    0,
  );
  const small = Float32Array.of(-0, 2 ** -14, 3e-5, -3.1e-8, 2.9e-8, 1.5 * 2 ** -24, 2.5 * 2 ** -24, -1e-6);
  for (const numbers of [values, small]) {
    assertEquals(await copy(gpu, 0, numbers, new Float32Array(8), [1]), rounded(numbers));
  }
});

gpuTest("2,048 numbers of all magnitudes are rounded as a checkpoint's are", async (gpu) => {
  for (let part = 0; part < 8; part++) {
    const values = Float32Array.from(
      { length: 256 },
      (_, i) => hashedUnit(1, 256 * part + i) * 2 ** ((256 * part + i) % 45 - 27) * (i % 2 ? 1 : -1),
    );
    assertEquals(await copy(gpu, 0, values, new Float32Array(256), [1]), rounded(values));
  }
});

gpuTest("what lies beyond f16 becomes infinite, and NaN stays NaN", async (gpu) => {
  const values = Float32Array.of(65520, -65520, 1e6, -3e38, Infinity, -Infinity, NaN, 65519);
  const found = await copy(gpu, 0, values, new Float32Array(8), [1]);
  assertEquals(found, Float32Array.of(Infinity, -Infinity, Infinity, -Infinity, Infinity, -Infinity, NaN, 65504));
  // They also come back out of f16 as what they are.
  assertEquals((await copy(gpu, 0, found, new Float32Array(8), [0, 1])).slice(0, 7), found.slice(0, 7));
});

for (const packed of [[0], [1], [0, 1]]) {
  gpuTest(`bindings ${packed} packed: reads, writes and compound assignments compute in f32`, async (gpu) => {
    const values = rounded(Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) * 2 ** (i % 7)));
    const before = rounded(Float32Array.from({ length: 64 }, (_, i) => Math.cos(i)));
    const store = (numbers: Float32Array) => packed.includes(1) ? rounded(numbers) : numbers;
    assertEquals(await copy(gpu, 0, values, before, packed), store(values));
    // Half of a number and the products of f16 numbers are exact in f32.
    assertEquals(await copy(gpu, 2, values, before, packed), store(before.map((x, i) => x * values[i] / 2)));
    // KIND 1 reads the last item, past whose end the index is cut off, or its own: both are whole f32 sums.
    const sums = await copy(gpu, 1, values.map(Math.abs), before, packed, 0.5);
    assertEquals(sums, store(before.map((x, i) => Math.fround(x + 0.5 * Math.abs(values[i])))));
  });
}

Deno.test("packBindings() leaves a text alone where nothing is packed", () => {
  assertEquals(packBindings(COPY.replace(/\/\/.*/, ""), []), COPY.replace(/\/\/.*/, ""));
});

Deno.test("packBindings() refuses what would share a word between invocations or cannot be replaced", () => {
  const kernel = (type: string, body: string) =>
    `@group(0) @binding(0) var<storage, read_write> x: array<${type}>;\nfn main() { ${body} }`;
  const reject = (type: string, body: string, message: string) =>
    assertThrows(() => packBindings(kernel(type, body), [0]), SyntaxError, message);
  reject("f32", "x[0] = 1.0;", "binding x: items of two or four f32 are required");
  reject("vec4<u32>", "x[0] = vec4<u32>(1u);", "items of two or four f32 are required");
  reject("vec4<f32>", "x[0].y = 1.0;", "a part of an item is written");
  reject("vec4<f32>", "x[0][1] += 1.0;", "a part of an item is written");
  reject("vec4<f32>", "let n = arrayLength(&x);", 'found "x);');
  assertThrows(() => packBindings(kernel("vec4<f32>", ""), [1]), SyntaxError, "binding 1");
  assert(packBindings(kernel("vec2<f32>", "let same = x[0].x == x[1].y;"), [0]).includes("unpack_x(u32(0)).x =="));
});
