import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { FlatVector } from "../../../lib/graph/vector.ts";
import {
  estimateSubspace,
  type Subspace,
  SubspaceCollector,
  type SubspaceOptions,
} from "../../../lib/priors/subspace/collector.ts";
import type { Swag } from "../../../lib/priors/swag.ts";
import { gpuTests } from "../../gpu/harness.ts";
import { layoutOf } from "../../inference/workbench.ts";
import { hashedUnit } from "../../reference/hashed.ts";
import { swagFactors, swagMoments } from "../../reference/swag.ts";
import { gramOfColumns } from "./dense.ts";

const gpuTest = gpuTests();
const SIZES = [30, 11], SIZE = 41;
const SUBSPACES: readonly Subspace[] = ["covariance", "pca", "freq_dir", "random"];

/** Snapshots in three directions, and noise. */
function trajectory(count: number): Float32Array[] {
  return Array.from({ length: count }, (_, t) =>
    Float32Array.from({ length: SIZE }, (_, i) => {
      const along = [0, 1, 2].reduce((sum, k) => sum + hashedUnit(50 + k, t) * hashedUnit(60 + k, i) * 0.4 ** k, 0);
      return 0.1 * along + 0.002 * hashedUnit(t, i);
    }));
}

/** Runs `fn` with a collector of a vector that `take` fills. */
async function withCollector<T>(
  gpu: Gpu,
  options: SubspaceOptions,
  fn: (collector: SubspaceCollector, take: (snapshots: readonly Float32Array[]) => Promise<void>) => Promise<T>,
): Promise<T> {
  const theta = new FlatVector(gpu, "theta", layoutOf(gpu, SIZES));
  let collector: SubspaceCollector | undefined;
  try {
    const opened = collector = await SubspaceCollector.create(gpu, theta, options);
    return await fn(opened, async (snapshots) => {
      for (const snapshot of snapshots) {
        theta.write(snapshot);
        await opened.collect();
      }
    });
  } finally {
    collector?.destroy();
    theta.destroy();
  }
}

async function collect(gpu: Gpu, snapshots: readonly Float32Array[], options: SubspaceOptions): Promise<Swag> {
  return await withCollector(gpu, options, async (collector, take) => {
    await take(snapshots);
    return await collector.read();
  });
}

/** All deviations of the snapshots but the first, in float64. */
function deviationsOf(snapshots: readonly Float32Array[]): Float64Array[] {
  return [...swagMoments(snapshots.map((row) => Float64Array.from(row)), Infinity, 0).deviations];
}

function assertSameMatrix(found: Float64Array, expected: Float64Array, share: number): void {
  const most = expected.reduce((m, value) => Math.max(m, Math.abs(value)), 0);
  assertEquals(found.length, expected.length);
  found.forEach((value, i) => assertAlmostEquals(value, expected[i], share * most));
}

const narrow = (rows: readonly Float64Array[]) => rows.map((row) => Float32Array.from(row));

gpuTest("every subspace has the same mean and variance", async (gpu) => {
  const found: Swag[] = [];
  for (const subspace of SUBSPACES) found.push(await collect(gpu, trajectory(9), { subspace, maxRank: 4 }));
  for (const { mean, variance } of found) assertEquals([mean, variance], [found[0].mean, found[0].variance]);
  assertEquals(found.map(({ kind }) => kind), [undefined, "components", "components", "random"]);
  assertEquals(found.map(({ covFactor }) => covFactor.length), [4, 4, 4, 4]);
});

gpuTest(
  "subspace pca spans the last deviations: all components have their Q^T Q, fewer approximate it",
  async (gpu) => {
    const snapshots = trajectory(12);
    const expected = gramOfColumns(narrow(swagFactors(deviationsOf(snapshots).slice(-6))));
    const all = await collect(gpu, snapshots, { subspace: "pca", maxRank: 6 });
    assertSameMatrix(gramOfColumns(all.covFactor), expected, 1e-5);
    const two = await collect(gpu, snapshots, { subspace: "pca", maxRank: 6, pcaRank: 2 });
    assertEquals(two.covFactor, all.covFactor.slice(0, 2));
    const mle = await collect(gpu, snapshots, { subspace: "pca", maxRank: 6, pcaRank: "mle" });
    assert(mle.covFactor.length >= 1 && mle.covFactor.length < 6);
    assertEquals(mle.covFactor, all.covFactor.slice(0, mle.covFactor.length));
  },
);

gpuTest(
  "subspace freq_dir stands for all deviations: exact while they fit, from below where they do not",
  async (gpu) => {
    for (const [count, maxRank] of [[5, 4], [7, 12], [10, 4], [13, 4], [14, 4]]) {
      const snapshots = trajectory(count);
      const deviations = deviationsOf(snapshots);
      const scale = 1 / Math.sqrt(deviations.length - 1);
      const expected = gramOfColumns(narrow(deviations.map((row) => row.map((value) => value * scale))));
      const found = await collect(gpu, snapshots, { subspace: "freq_dir", maxRank });
      assert(found.covFactor.length <= maxRank);
      if (deviations.length <= maxRank) {
        assertSameMatrix(gramOfColumns(found.covFactor), expected, 1e-5);
        continue;
      }
      // The three planted directions are most of it; the noise is what shrinking takes.
      assertSameMatrix(gramOfColumns(found.covFactor), expected, 0.02);
      const trace = (matrix: Float64Array) =>
        matrix.reduce((sum, value, i) => sum + (i % (SIZE + 1) === 0 ? value : 0), 0);
      assert(trace(gramOfColumns(found.covFactor)) < trace(expected));
    }
  },
);

gpuTest("subspace random takes its directions from the seed", async (gpu) => {
  const of = (seed: number) => collect(gpu, trajectory(5), { subspace: "random", maxRank: 3, seed });
  const [a, b, c] = [await of(1), await of(1), await of(2)];
  assertEquals(a.covFactor, b.covFactor);
  assert(a.covFactor[0].some((value, p) => value !== c.covFactor[0][p]));
});

for (const subspace of SUBSPACES) {
  gpuTest(`subspace ${subspace} goes on from its state as if it had never stopped, wherever that was`, async (gpu) => {
    const snapshots = trajectory(11), options = { subspace, maxRank: 3, seed: 4 };
    const whole = await collect(gpu, snapshots, options);
    for (const stop of [0, 1, 2, 4, 5, 7, 10]) {
      const state = await withCollector(gpu, options, async (collector, take) => {
        await take(snapshots.slice(0, stop));
        return await collector.readState();
      });
      const resumed = await withCollector(gpu, options, async (collector, take) => {
        collector.writeState(state);
        await take(snapshots.slice(stop));
        // To read is not to change: it may be read again.
        await collector.read();
        return await collector.read();
      });
      assertEquals(resumed, whole);
    }
  });
}

gpuTest("every subspace of rank 0 keeps no rows; ranks that are none are refused", async (gpu) => {
  for (const subspace of SUBSPACES) {
    assertEquals((await collect(gpu, trajectory(4), { subspace, maxRank: 0 })).covFactor, []);
    await assertRejects(() => collect(gpu, trajectory(1), { subspace }), RangeError, "at least 2 are required");
  }
  for (const pcaRank of [0, 1.5, 5]) {
    const refused = () => collect(gpu, trajectory(4), { subspace: "pca", maxRank: 4, pcaRank });
    await assertRejects(refused, RangeError, `Cannot keep ${pcaRank} principal components of 4 deviations`);
  }
});

for (const subspace of SUBSPACES) {
  gpuTest(`estimateSubspace() foretells what a collector allocates: ${subspace}`, async (gpu) => {
    const layout = layoutOf(gpu, [5000, 3000]), theta = new FlatVector(gpu, "theta", layout);
    for (const maxRank of [0, 1, 6]) {
      const before = gpu.live.bytes, collector = await SubspaceCollector.create(gpu, theta, { subspace, maxRank });
      const allocated = gpu.live.bytes - before, planned = estimateSubspace(layout, { subspace, maxRank });
      collector.destroy();
      // The sums of a sketch, the number of a snapshot.
      assert(planned <= allocated && allocated <= planned + 8192, `${allocated} of rank ${maxRank}, not ${planned}`);
    }
    theta.destroy();
  });
}
