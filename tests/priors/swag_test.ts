import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { FlatVector } from "../../lib/graph/vector.ts";
import { type Swag, SwagCollector, type SwagOptions } from "../../lib/priors/swag.ts";
import { gpuTests } from "../gpu/harness.ts";
import { layoutOf } from "../inference/workbench.ts";
import { hashedUnit } from "../reference/hashed.ts";
import { swagFactors, type SwagMoments, swagMoments } from "../reference/swag.ts";

const gpuTest = gpuTests();
const SIZES = [70, 13], SIZE = 83;

/** Snapshots that drift by `drift` a step around `level`, with noise of about 0.01. */
function trajectory(count: number, level: number, drift: number): Float32Array[] {
  return Array.from(
    { length: count },
    (_, t) =>
      Float32Array.from({ length: SIZE }, (_, i) => level * (1 + i / SIZE) + drift * t + 0.01 * hashedUnit(t, i)),
  );
}

/** What the device makes of the snapshots. */
async function collect(gpu: Gpu, snapshots: readonly Float32Array[], options: SwagOptions): Promise<Swag> {
  const theta = new FlatVector(gpu, "theta", layoutOf(gpu, SIZES));
  const collector = await SwagCollector.create(gpu, theta, options);
  try {
    for (const snapshot of snapshots) {
      theta.write(snapshot);
      collector.collect();
    }
    assertEquals(collector.count, snapshots.length);
    return await collector.read();
  } finally {
    collector.destroy();
    theta.destroy();
  }
}

function moments(snapshots: readonly Float32Array[], maxRank: number, clamp = 1e-12): SwagMoments {
  return swagMoments(snapshots.map((row) => Float64Array.from(row)), maxRank, clamp);
}

function assertWithin(found: ArrayLike<number>, expected: ArrayLike<number>, bound: (index: number) => number): void {
  assertEquals(found.length, expected.length);
  for (let i = 0; i < found.length; i++) {
    const apart = Math.abs(found[i] - expected[i]);
    assert(apart <= bound(i), `element ${i} is ${found[i]}, not ${expected[i]}: ${apart} is more than ${bound(i)}`);
  }
}

for (
  const [what, count, maxRank] of [
    ["fewer snapshots than rows", 6, 20],
    ["as many deviations as rows", 6, 5],
    ["more snapshots than rows", 11, 4],
    ["a ring that went round twice", 14, 4],
    ["a single row", 5, 1],
  ] as const
) {
  gpuTest(`SwagCollector keeps mean, variance and the newest deviations in order: ${what}`, async (gpu) => {
    for (const [level, drift] of [[0, 0.001], [100, 0.01], [-3000, 0.5]]) {
      const snapshots = trajectory(count, level, drift);
      const found = await collect(gpu, snapshots, { maxRank, varianceClamp: 1e-12 });
      const expected = moments(snapshots, maxRank);
      // Half a unit in the last place of the mean for each snapshot: float32 cannot hold the mean better.
      const unit = (i: number) => 2 ** -24 * Math.max(Math.abs(expected.mean[i]), 0.01) * 2;
      assertWithin(found.mean, expected.mean, (i) => 2 * unit(i));
      assertWithin(
        found.variance,
        expected.variance,
        (i) => 6 * unit(i) * Math.sqrt(expected.variance[i]) + unit(i) ** 2 * 4 + 1e-6 * expected.variance[i],
      );
      const rank = Math.min(count - 1, maxRank);
      assertEquals(found.covFactor.length, rank);
      const rows = rank === 1 ? expected.deviations : swagFactors(expected.deviations);
      found.covFactor.forEach((row, k) => {
        assertWithin(row, rows[k], (i) => 4 * unit(i) / Math.sqrt(Math.max(1, rank - 1)) + 1e-6 * Math.abs(rows[k][i]));
      });
    }
  });
}

gpuTest("SwagCollector never counts the first deviation, which is zero", async (gpu) => {
  const found = await collect(gpu, trajectory(3, 1, 0.1), { maxRank: 5 });
  assertEquals(found.covFactor.length, 2);
  assert(found.covFactor.every((row) => row.every((value) => value !== 0)));
});

gpuTest("SwagCollector clamps the variance and keeps no rows at rank 0", async (gpu) => {
  const still = trajectory(1, 1, 0)[0];
  const found = await collect(gpu, [still, still, still], { maxRank: 0 });
  assertEquals([...found.variance], new Array(SIZE).fill(Math.fround(1e-6)));
  assertEquals(found.covFactor, []);
  assertEquals(found.mean, still);
});

gpuTest("SwagCollector refuses a covariance from one snapshot and a rank that is no size", async (gpu) => {
  await assertRejects(() => collect(gpu, trajectory(1, 1, 0), {}), RangeError, "at least 2");
  const theta = new FlatVector(gpu, "theta", layoutOf(gpu, SIZES));
  await assertRejects(() => SwagCollector.create(gpu, theta, { maxRank: 1.5 }), RangeError, "the rank is 1.5");
  theta.destroy();
});

gpuTest("SwagCollector goes on from its state as if it had never stopped, wherever that was", async (gpu) => {
  const snapshots = trajectory(9, 2, 0.1), options = { maxRank: 3 };
  const whole = await collect(gpu, snapshots, options);
  const theta = new FlatVector(gpu, "theta", layoutOf(gpu, SIZES));
  for (const stop of [0, 1, 2, 4, 6]) {
    const first = await SwagCollector.create(gpu, theta, options),
      second = await SwagCollector.create(gpu, theta, options);
    const take = (collector: SwagCollector, some: readonly Float32Array[]) =>
      some.forEach((snapshot) => {
        theta.write(snapshot);
        collector.collect();
      });
    take(first, snapshots.slice(0, stop));
    const state = await first.readState();
    assertEquals([state.count, state.rows.length], [stop, Math.max(0, Math.min(stop - 1, 3))]);
    second.writeState(state);
    take(second, snapshots.slice(stop));
    assertEquals(await second.read(), whole);
    assertThrows(
      () => second.writeState({ ...state, rows: [...state.rows, theta as never] }),
      RangeError,
      "deviations",
    );
    first.destroy();
    second.destroy();
  }
  theta.destroy();
});
