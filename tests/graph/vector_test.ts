import { assert, assertEquals, assertThrows } from "@std/assert";
import { Graph } from "../../lib/graph/graph.ts";
import { FlatVector, fromShards, layoutVector, segmentsOf, toShards } from "../../lib/graph/vector.ts";
import { gpuTests } from "../gpu/harness.ts";
import { toDevice } from "../gpu/layout.ts";
import { tensor } from "../reference/tensor.ts";

const gpuTest = gpuTests();

/** Sizes 216, 65, 1, 1023, 70, 64 and 1: rarely whole multiples of 64. */
function parameters() {
  const graph = new Graph();
  graph.parameter("backbone", "conv.weight", "convolution", [8, 3, 3, 3]);
  graph.parameter("backbone", "bn.weight", "vector", [65]);
  graph.parameter("backbone", "scalar", "vector", [1]);
  graph.parameter("backbone", "other.weight", "convolution", [11, 31, 3, 1]);
  graph.parameter("backbone", "fc.weight", "linear", [7, 10]);
  graph.parameter("backbone", "exact", "vector", [64]);
  graph.parameter("backbone", "last", "vector", [1]);
  return graph.parametersOf("backbone");
}

const COUNT = 216 + 65 + 1 + 1023 + 70 + 64 + 1;
const values = () => Float32Array.from({ length: COUNT }, (_, i) => i + 1);

for (const limit of [4096, 1 << 20]) {
  Deno.test(`layoutVector() keeps PyTorch's order, 256-byte starts and shards of at most ${limit} bytes`, () => {
    const layout = layoutVector("backbone", parameters(), limit);
    assertEquals(layout.count, COUNT);
    assertEquals(layout.entries.map(({ torchOffset }) => torchOffset), [0, 216, 281, 282, 1305, 1375, 1439]);
    assertEquals(layout.shards.length > 1, limit === 4096);
    layout.shards.forEach((length) => assert(length * 4 <= limit && length % 64 === 0 && length > 0));
    assertEquals(layout.paddedCount, layout.shards.reduce((a, b) => a + b));
    const taken = new Set<string>();
    for (const { shard, offset, size } of layout.entries) {
      assertEquals(offset % 64, 0);
      assert(offset + size <= layout.shards[shard]);
      for (let i = offset; i < offset + size; i++) taken.add(`${shard}:${i}`);
    }
    assertEquals(taken.size, COUNT, "tensors overlap");
  });

  Deno.test(`toShards() and fromShards() are inverse, with ${limit} bytes to a shard`, () => {
    const layout = layoutVector("backbone", parameters(), limit);
    const shards = toShards(layout, values());
    assertEquals(fromShards(layout, shards), values());
    // Everything that is no element is zero.
    const sum = shards.flatMap((shard) => [...shard]).reduce((a, b) => a + b, 0);
    assertEquals(sum, COUNT * (COUNT + 1) / 2);
    for (const { shard, offset, size, torchOffset, torchShape, layout: order } of layout.entries) {
      const torch = tensor(torchShape, values().subarray(torchOffset, torchOffset + size));
      assertEquals(shards[shard].slice(offset, offset + size), toDevice(torch, order).words);
    }
  });

  gpuTest(`FlatVector writes, reads, copies and clears in PyTorch's order, ${limit} bytes to a shard`, async (gpu) => {
    const layout = layoutVector("backbone", parameters(), limit);
    const vector = new FlatVector(gpu, "theta", layout), other = new FlatVector(gpu, "other", layout);
    vector.write(values());
    assertEquals(await vector.read(), values());
    other.copyFrom(vector);
    vector.clear();
    assertEquals(await vector.read(), new Float32Array(COUNT));
    assertEquals(await other.read(), values());
    const { buffer, offset, size } = other.rangeOf("fc.weight");
    const torch = tensor([7, 10], values().subarray(1305, 1375));
    assertEquals(new Float32Array(await gpu.read(buffer, offset, size)), toDevice(torch, "linear").words);
    assertThrows(() => other.rangeOf("missing"), RangeError, "backbone has no such tensor");
    vector.destroy();
    other.destroy();
  });
}

for (const [rows, limit] of [[1, 4096], [1, 1024], [3, 4096], [5, 8192], [1, 1 << 20]]) {
  Deno.test(`segmentsOf() covers every element once, ${rows} rows in ${limit} bytes`, () => {
    const layout = layoutVector("backbone", parameters(), Math.max(limit, 4096));
    const segments = segmentsOf(layout, rows, limit);
    let next = 0;
    const ends = layout.shards.map(() => 0);
    for (const { shard, offset, length, globalOffset } of segments) {
      assertEquals(globalOffset, next);
      assertEquals(offset, ends[shard]);
      assertEquals(length % 64, 0);
      assert(length > 0 && rows * length * 4 <= limit);
      next += length;
      ends[shard] += length;
    }
    assertEquals(next, layout.paddedCount);
    assertEquals(ends, layout.shards);
  });
}

gpuTest("FlatVector of no parameters is empty", async (gpu) => {
  const layout = layoutVector("head", [], 4096);
  assertEquals([layout.count, layout.paddedCount, segmentsOf(layout, 1, 4096).length], [0, 0, 0]);
  const vector = new FlatVector(gpu, "theta", layout);
  vector.write(new Float32Array(0));
  assertEquals(await vector.read(), new Float32Array(0));
  vector.destroy();
});

Deno.test("layoutVector() gives a tensor that is larger than a binding a shard of its own, which segments cut", () => {
  const layout = layoutVector("backbone", parameters(), 2048);
  const large = layout.entries.find(({ name }) => name === "other.weight")!;
  assertEquals([large.offset, layout.shards[large.shard]], [0, 1024]);
  assertEquals(layout.entries.filter(({ shard }) => shard === large.shard), [large]);
  assert(layout.shards.every((length) => length > 0));
  const segments = segmentsOf(layout, 1, 2048).filter(({ shard }) => shard === large.shard);
  assertEquals(segments.map(({ offset, length }) => [offset, length]), [[0, 512], [512, 512]]);
  assertEquals(fromShards(layout, toShards(layout, values())), values());
});

Deno.test("toShards() rejects what does not fit", () => {
  const layout = layoutVector("backbone", parameters(), 4096);
  assertThrows(() => toShards(layout, new Float32Array(3)), RangeError, "Cannot write 3 values to backbone: 1440");
});
