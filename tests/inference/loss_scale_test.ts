/**
 * The loss scale alone, on gradients that the host wrote.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { prepareLaunch, submitLaunches } from "../../lib/gpu/launch.ts";
import { FlatVector } from "../../lib/graph/vector.ts";
import { LossScale, type LossScaleOptions } from "../../lib/inference/loss_scale.ts";
import { gpuTests, withGpu } from "../gpu/harness.ts";
import { layoutOf } from "./workbench.ts";

const gpuTest = gpuTests();
const SIZES = [70, 3, 640];

/** out[i] += 1: an update whose number of workgroups shows in what it leaves. */
const COUNT_UP = `
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3<u32>) { out[group.x + 2u * group.y] += 1.0; }`;

/** Runs the loss scale on one gradient after the other. */
async function steps(gpu: Gpu, gradients: readonly Float32Array[], options: LossScaleOptions) {
  const layout = layoutOf(gpu, SIZES);
  const gradient = new FlatVector(gpu, "gradient", layout), second = new FlatVector(gpu, "second", layout);
  const statistics = new FlatVector(gpu, "statistics", layout);
  const buffer = gpu.createBuffer("loss scale", 16), out = gpu.createBuffer("out", 64);
  const range = { buffer: out, offset: 0, size: out.size };
  const countUp = (groups: [number, number, number]) =>
    prepareLaunch(gpu, { label: "count up", source: COUNT_UP, constants: {}, groups }, [range]);
  const update = await countUp([2, 3, 1]), other = await countUp([1, 1, 1]);
  const guarded = { gradients: [gradient, second], statistics, updates: [other, update] };
  const scale = await LossScale.create(gpu, buffer, guarded, options);
  const history = [];
  for (const [step, values] of gradients.entries()) {
    gradient.write(values);
    const before = Float32Array.from({ length: layout.count }, (_, i) => i + step);
    statistics.write(before);
    submitLaunches(gpu, "before", scale.before);
    statistics.write(before.map(() => NaN));
    submitLaunches(gpu, "after", [...scale.after, ...scale.guard([update])]);
    history.push({
      state: [...await scale.read()],
      kept: (await statistics.read()).every((value, i) => value === before[i]),
      unscaled: await gradient.read(),
    });
  }
  const launched = [...new Float32Array(await gpu.read(out))].slice(0, 8);
  scale.destroy();
  [gradient, second, statistics].forEach((vector) => vector.destroy());
  [buffer, out].forEach((one) => gpu.destroyBuffer(one));
  return { history, launched, shards: layout.shards.length };
}

const LENGTH = SIZES.reduce((a, b) => a + b);
const finite = () => Float32Array.from({ length: LENGTH }, (_, i) => (i - 300) * 2 ** 90);
const spoilt = (at: number, value: number) => {
  const values = finite();
  values[at] = value;
  return values;
};

gpuTest(
  "the scale halves at a step that is not finite, wherever the number lies, and the step is skipped",
  async (gpu) => {
    for (const [at, value] of [[0, NaN], [LENGTH - 1, Infinity], [70, -Infinity], [400, NaN]]) {
      const { history, launched } = await steps(gpu, [finite(), spoilt(at, value), finite()], { initial: 1024 });
      assertEquals(history.map(({ state }) => state), [[1024, 1, 0, 0], [512, 0, 1, 1], [512, 1, 1, 0]]);
      // Running statistics are those of before a skipped step, and of the step itself where it was made.
      assertEquals(history.map(({ kept }) => kept), [false, true, false]);
      assertEquals(history[0].unscaled, finite().map((x) => x / 1024));
      assertEquals(history[2].unscaled, finite().map((x) => x / 512));
      // Of three updates one was left out; all six workgroups were launched, or none.
      assertEquals(launched, [2, 2, 2, 2, 2, 2, 0, 0]);
    }
  },
);

gpuTest("the scale doubles after so many steps without an overflow, up to 2^24", async (gpu) => {
  const { history } = await steps(gpu, [finite(), finite(), finite(), spoilt(5, NaN), finite(), finite(), finite()], {
    initial: 2 ** 23,
    growthInterval: 2,
  });
  const scales = history.map(({ state: [scale, made] }) => [Math.log2(scale), made]);
  assertEquals(scales, [[23, 1], [24, 0], [24, 1], [23, 0], [23, 1], [24, 0], [24, 1]]);
});

Deno.test("the loss scale is the same where vectors lie in several shards", async () => {
  await withGpu({ maxBindingBytes: 2560 }, async (gpu) => {
    const { history, shards } = await steps(gpu, [spoilt(LENGTH - 1, NaN), finite()], { initial: 4 });
    assertEquals(shards, 2);
    assertEquals(history.map(({ state }) => state), [[2, 0, 1, 1], [2, 1, 1, 0]]);
    assertEquals(history.map(({ kept }) => kept), [true, false]);
    assertEquals(history[1].unscaled, finite().map((x) => x / 2));
  });
});

gpuTest("a loss scale that is no power of two from 1 to 2^24, or never grows, is refused", async (gpu) => {
  for (
    const [options, message] of [
      ...[0.5, 3, 2 ** 25, NaN, Infinity].map((initial) => [{ initial }, "a power of two"] as const),
      ...[0, 1.5, NaN].map((growthInterval) => [{ growthInterval }, "an integer of at least 1"] as const),
    ]
  ) {
    const layout = layoutOf(gpu, SIZES);
    const vector = new FlatVector(gpu, "vector", layout), buffer = gpu.createBuffer("loss scale", 16);
    const guarded = { gradients: [vector], statistics: vector, updates: [] };
    await assertRejects(() => LossScale.create(gpu, buffer, guarded, options), RangeError, message);
    vector.destroy();
    gpu.destroyBuffer(buffer);
  }
});
