import { assert, assertEquals } from "@std/assert";
import elementwise from "../../kernels/elementwise.wgsl" with { type: "text" };
import { philox4x32, PhiloxSequence, Stream } from "../../lib/random/philox.ts";
import { prepareLaunch, submitLaunches } from "../../lib/gpu/launch.ts";
import { philoxSource } from "../../lib/gpu/philox.ts";
import { withGpu } from "../gpu/harness.ts";

Deno.test("philox4x32() gives the known answers of Random123", () => {
  const hex = (words: readonly number[]) => words.map((word) => word.toString(16).padStart(8, "0")).join(" ");
  assertEquals(hex(philox4x32([0, 0, 0, 0], [0, 0])), "6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  const ones = 0xffffffff;
  assertEquals(hex(philox4x32([ones, ones, ones, ones], [ones, ones])), "408f276d 41c83b0e a20bc7c6 6d5451fd");
  // The digits of pi.
  const counter = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344] as const;
  assertEquals(hex(philox4x32(counter, [0xa4093822, 0x299f31d0])), "d16cfe09 94fdcceb 5001e420 24126ea1");
});

Deno.test("PhiloxSequence walks the counter: its first word counts, the others name the sequence", () => {
  const sequence = new PhiloxSequence(0x123456789abcd, Stream.order, 7, 9);
  const words = Array.from({ length: 12 }, () => sequence.uint32());
  const key = [0x6789abcd, 0x12345] as const;
  const blocks = [0, 1, 2].flatMap((block) => philox4x32([block, 7, 9, Stream.order], key));
  assertEquals(words, blocks);
});

Deno.test("PhiloxSequence gives different numbers for every seed, stream and word", () => {
  const first = (...words: [number, number, number, number]) => new PhiloxSequence(...words).uint32();
  const found = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [2 ** 32, 0, 0, 0], [
    -1,
    0,
    0,
    0,
  ]];
  assertEquals(new Set(found.map((words) => first(...words as [number, number, number, number]))).size, found.length);
});

/** Asserts that a mean of `count` draws of the given deviation is within 4.5 standard errors: one run in 150,000 fails. */
function assertMean(what: string, found: number, expected: number, deviation: number, count: number): void {
  const bound = 4.5 * deviation / Math.sqrt(count);
  assert(Math.abs(found - expected) < bound, `${what}: ${found}, but ${expected} within ${bound} is required`);
}

Deno.test("PhiloxSequence.uniform() and normal() have the moments of their laws", () => {
  const count = 200_000, random = new PhiloxSequence(3, Stream.init);
  const mean = (values: number[], power: number) => values.reduce((sum, x) => sum + x ** power, 0) / values.length;
  const uniforms = Array.from({ length: count }, () => random.uniform());
  assert(uniforms.every((x) => x >= 0 && x < 1));
  assertMean("mean", mean(uniforms, 1), 1 / 2, Math.sqrt(1 / 12), count);
  assertMean("square", mean(uniforms, 2), 1 / 3, Math.sqrt(4 / 45), count);
  const normals = Array.from({ length: count }, () => random.normal());
  assertMean("mean", mean(normals, 1), 0, 1, count);
  assertMean("square", mean(normals, 2), 1, Math.sqrt(2), count);
  assertMean("cube", mean(normals, 3), 0, Math.sqrt(15), count);
  assertMean("fourth power", mean(normals, 4), 3, Math.sqrt(96), count);
  const lagged = normals.slice(1).reduce((sum, x, i) => sum + x * normals[i], 0) / (count - 1);
  assertMean("product of neighbours", lagged, 0, 1, count - 1);
  assert(normals.every(Number.isFinite));
});

Deno.test("PhiloxSequence.below() is unbiased, also where the bound does not divide 2^32", () => {
  for (const bound of [1, 2, 7, 10]) {
    const random = new PhiloxSequence(5, Stream.order, bound),
      counts = new Array(bound).fill(0),
      draws = 20_000 * bound;
    for (let i = 0; i < draws; i++) counts[random.below(bound)]++;
    const share = 1 / bound;
    counts.forEach((n, i) =>
      assertMean(`${i} of ${bound}`, n / draws, share, Math.sqrt(share * (1 - share)) + 1e-9, draws)
    );
  }
  // Without rejection, a bound of 3 * 2^30 would give the lowest quarter twice as often: 1/2 instead of 1/3 below 2^30.
  const random = new PhiloxSequence(6, Stream.order), draws = 20_000;
  const low = Array.from({ length: draws }, () => random.below(3 * 2 ** 30)).filter((x) => x < 2 ** 30).length;
  assertMean("lowest third", low / draws, 1 / 3, Math.sqrt(2) / 3, draws);
});

Deno.test("PhiloxSequence.shuffle() permutes, evenly, and returns its argument", () => {
  const items = Uint32Array.from({ length: 1000 }, (_, i) => i);
  const shuffled = new PhiloxSequence(1, Stream.order).shuffle(items);
  assert(shuffled === items);
  assertEquals([...shuffled].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i));
  assert(shuffled.some((x, i) => x !== i));
  const random = new PhiloxSequence(2, Stream.order), counts = new Map<string, number>(), draws = 12_000;
  for (let i = 0; i < draws; i++) {
    const order = random.shuffle(["a", "b", "c"]).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assertEquals(counts.size, 6);
  for (const [order, n] of counts) assertMean(order, n / draws, 1 / 6, Math.sqrt(5) / 6, draws);
});

const COUNT = 10_000;
const LAUNCH = `
@group(0) @binding(0) var<storage, read_write> words: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> normals: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = first_item(group, lane);
  if (i >= COUNT) { return; }
  let counter = words[i];
  words[i] = philox(counter, vec2<u32>(KEY_0, KEY_1));
  normals[i] = normal4(counter, vec2<u32>(KEY_0, KEY_1));
}`;

/** A multiplication of 32 bits by four of 16, and by one of 64 bits where the device has it. */
for (const noWideIntegers of [true, false]) {
  const name = "philox.wgsl gives the bits of philox4x32() on 10,000 counters, and their normals";
  Deno.test(`${name}, ${noWideIntegers ? "without" : "with"} integers of 64 bits`, () =>
    withGpu({ noWideIntegers }, async (gpu) => {
      const key = [0xdeadbeef, 0x80000001] as const;
      const counters = new Uint32Array(COUNT * 4);
      const random = new PhiloxSequence(8, Stream.init);
      counters.forEach((_, i) => counters[i] = i < 16 ? 0xffffffff * (i & 1) : random.uint32());
      const words = gpu.createBuffer("words", counters.byteLength),
        normals = gpu.createBuffer("normals", counters.byteLength);
      gpu.device.queue.writeBuffer(words, 0, counters);
      const launch = await prepareLaunch(gpu, {
        label: "philox",
        source: elementwise + philoxSource(gpu) + LAUNCH,
        constants: { COUNT, W: 1, ITEMS: 1, RUN: 8, GRID_X: 1000, KEY_0: key[0], KEY_1: key[1] },
        groups: [Math.ceil(COUNT / 64), 1, 1],
      }, [words, normals].map((buffer) => ({ buffer, offset: 0, size: buffer.size })));
      submitLaunches(gpu, "philox", [launch]);
      const bits = new Uint32Array(await gpu.read(words)), found = new Float32Array(await gpu.read(normals));
      [words, normals].forEach((buffer) => gpu.destroyBuffer(buffer));
      const expected = new Uint32Array(COUNT * 4);
      for (let i = 0; i < COUNT; i++) {
        const counter = [...counters.subarray(4 * i, 4 * i + 4)] as [number, number, number, number];
        expected.set(philox4x32(counter, key), 4 * i);
      }
      assertEquals(bits.filter((word, i) => word !== expected[i]).length, 0, "words that differ");
      for (let i = 0; i < 2 * COUNT; i++) {
        const radius = Math.sqrt(-2 * Math.log(((expected[2 * i] >>> 8) + 1) * 2 ** -24));
        const angle = 2 * Math.PI * (expected[2 * i + 1] >>> 8) * 2 ** -24;
        // WGSL allows cos() and sin() an absolute error of 2^-11 beyond pi; a radius is at most 5.8.
        const error = Math.max(
          Math.abs(found[2 * i] - radius * Math.cos(angle)),
          Math.abs(found[2 * i + 1] - radius * Math.sin(angle)),
        );
        assert(error < 5.8 * 2 ** -11, `normal ${2 * i}: off by ${error}`);
      }
    }));
}
