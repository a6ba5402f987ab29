import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { FlatVector } from "../../lib/graph/vector.ts";
import { type DrawOptions, drawSwag, lowRankWeights, SwagSampler } from "../../lib/priors/draw.ts";
import type { Swag } from "../../lib/priors/swag.ts";
import { philox4x32, Stream } from "../../lib/random/philox.ts";
import { gpuTests } from "../gpu/harness.ts";
import { layoutOf, placesOf } from "../inference/workbench.ts";
import { cholesky, choleskySolve } from "../reference/cholesky.ts";
import { hashedUnit } from "../reference/hashed.ts";
import { denseCovariance } from "../reference/low_rank_normal.ts";
import { swagDraw, swagPrior } from "../reference/swag.ts";

const gpuTest = gpuTests();
const SIZES = [17, 13], SIZE = 30;
/** The 95 % point of chi squared with 30 degrees of freedom. */
const CHI_SQUARED_95 = 43.77297;

function values(stream: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: SIZE }, (_, i) => hashedUnit(stream, i));
}

const SWAG: Swag = {
  mean: values(1),
  variance: values(2).map((x) => 10 ** (2 * x - 3)),
  covFactor: [3, 4, 5, 6].map((stream) => values(stream).map((x, i) => (0.3 * x + 0.7 * hashedUnit(7, i)) * 0.1)),
};

/** Reads draws from one sampler. */
async function draws(gpu: Gpu, all: readonly DrawOptions[], swag = SWAG): Promise<Float32Array[]> {
  const output = new FlatVector(gpu, "draw", layoutOf(gpu, SIZES));
  const sampler = await SwagSampler.create(gpu, swag, output);
  const layout = output.layout, length = layout.paddedCount, places = placesOf(layout);
  // Kept on the device and read once: a read waits for the device.
  const history = gpu.createBuffer("draws", all.length * length * 4);
  const { buffer } = output.segment({ shard: 0, offset: 0, length, globalOffset: 0 });
  for (const [index, options] of all.entries()) {
    sampler.draw(options);
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, history, index * length * 4, length * 4);
    gpu.device.queue.submit([encoder.finish()]);
    if (index % 256 === 255) await gpu.finish();
  }
  const values = new Float32Array(await gpu.read(history));
  gpu.destroyBuffer(history);
  const found = all.map((_, index) => Float32Array.from(places, (place) => values[index * length + place]));
  sampler.destroy();
  output.destroy();
  return found;
}

gpuTest("SwagSampler draws mean + sqrt(scale / 2) (sigma z1 + Q^T z2) with the counters' numbers", async (gpu) => {
  const seed = 2 ** 35 + 9, index = 12, scale = 3;
  const [found] = await draws(gpu, [{ seed, index, scale }]);
  const normals = placesOf(layoutOf(gpu, SIZES)).map((place) => {
    const bits = philox4x32([place >> 2, index, 0, Stream.prior], [9, 8]).map((word) => word >>> 8), pair = place & 2;
    const radius = Math.sqrt(-2 * Math.log((bits[pair] + 1) * 2 ** -24));
    const angle = 2 * Math.PI * bits[pair + 1] * 2 ** -24;
    return radius * (place & 1 ? Math.sin(angle) : Math.cos(angle));
  });
  const wide = (row: Float32Array) => Float64Array.from(row);
  const unit = swagDraw(
    wide(SWAG.mean),
    wide(SWAG.variance),
    SWAG.covFactor.map(wide),
    Float64Array.from(normals),
    Float64Array.from(lowRankWeights(seed, index, 4)),
  );
  found.forEach((value, i) =>
    assertAlmostEquals(value, SWAG.mean[i] + Math.sqrt(scale) * (unit[i] - SWAG.mean[i]), 3e-6)
  );
});

gpuTest("SwagSampler depends on seed and index alone, whatever was drawn before", async (gpu) => {
  const a = { seed: 4, index: 0 }, b = { seed: 4, index: 1 }, c = { seed: 5, index: 0 };
  const [first, second, third, again] = await draws(gpu, [a, b, c, a]);
  assertEquals(again, first);
  assertNotEquals(second, first);
  assertNotEquals(third, first);
  const output = new FlatVector(gpu, "draw", layoutOf(gpu, SIZES));
  await drawSwag(gpu, SWAG, output, b);
  assertEquals(await output.read(), second);
  output.destroy();
});

gpuTest("SwagSampler draws the mean at scale 0, and the diagonal alone without rows", async (gpu) => {
  assertEquals((await draws(gpu, [{ seed: 1, index: 1, scale: 0 }]))[0], SWAG.mean);
  const diagonal = { ...SWAG, covFactor: [] };
  const [draw] = await draws(gpu, [{ seed: 1, index: 1 }], diagonal);
  draw.forEach((value, i) => assert(Math.abs(value - SWAG.mean[i]) < 5 * Math.sqrt(SWAG.variance[i])));
});

Deno.test("SwagSampler draws the same in shards and segments", async () => {
  const whole = await openGpu(), cut = await openGpu({ maxBindingBytes: 1024 });
  try {
    const [expected] = await draws(whole, [{ seed: 6, index: 2 }]), [found] = await draws(cut, [{ seed: 6, index: 2 }]);
    assertEquals(found, expected);
  } finally {
    whole.destroy();
    cut.destroy();
  }
});

gpuTest("SwagSampler's draws cover: 95 % lie within the 95 % Mahalanobis distance, at six scales", async (gpu) => {
  const count = 500;
  for (const [number, scale] of [1e-4, 1e-2, 1, 10, 1e3, 1e5].entries()) {
    const normal = swagPrior(
      Float64Array.from(SWAG.mean),
      Float64Array.from(SWAG.variance),
      SWAG.covFactor.map((row) => Float64Array.from(row)),
      scale,
      0,
    );
    const lower = cholesky(denseCovariance(normal), SIZE);
    const all = await draws(gpu, Array.from({ length: count }, (_, index) => ({ seed: 100 + number, index, scale })));
    let inside = 0;
    for (const draw of all) {
      const apart = Float64Array.from(draw, (value, i) => value - normal.mean[i]), solved = choleskySolve(lower, apart);
      if (apart.reduce((sum, value, i) => sum + value * solved[i], 0) < CHI_SQUARED_95) inside++;
    }
    // Binomial(500, 0.95): 4.9 standard deviations, p = 1e-6.
    const spread = Math.sqrt(count * 0.95 * 0.05);
    assert(Math.abs(inside - 0.95 * count) < 4.9 * spread, `${inside} of ${count} draws at scale ${scale} are inside`);
  }
});

gpuTest("SwagSampler's draws have the covariance (diag(variance) + Q^T Q) / 2", async (gpu) => {
  const count = 3000;
  const all = await draws(gpu, Array.from({ length: count }, (_, index) => ({ seed: 11, index })));
  const wide = (row: Float32Array) => Float64Array.from(row);
  const covariance = denseCovariance(swagPrior(wide(SWAG.mean), wide(SWAG.variance), SWAG.covFactor.map(wide), 1, 0));
  for (let i = 0; i < SIZE; i++) {
    for (let j = 0; j <= i; j++) {
      const expected = covariance[i * SIZE + j];
      const found = all.reduce((sum, x) => sum + (x[i] - SWAG.mean[i]) * (x[j] - SWAG.mean[j]), 0) / count;
      const error = Math.sqrt((covariance[i * SIZE + i] * covariance[j * SIZE + j] + expected ** 2) / count);
      assert(Math.abs(found - expected) < 5 * error, `covariance of ${i} and ${j} is ${found}, not ${expected}`);
    }
  }
});

gpuTest("SwagSampler refuses another network's posterior and an index or scale that is none", async (gpu) => {
  const output = new FlatVector(gpu, "draw", layoutOf(gpu, [3]));
  await assertRejects(() => SwagSampler.create(gpu, SWAG, output), TypeError, "over 30 parameters");
  await assertRejects(() => drawSwag(gpu, SWAG, output, { seed: 1, index: -1 }), RangeError, "the index is -1");
  await assertRejects(() => drawSwag(gpu, SWAG, output, { seed: 1, index: 0, scale: NaN }), RangeError, "scale is NaN");
  output.destroy();
});
