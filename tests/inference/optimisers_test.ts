import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { OutOfMemoryError } from "../../lib/errors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { FlatVector, layoutVector } from "../../lib/graph/vector.ts";
import { ExponentialAverage } from "../../lib/inference/optimisers/exponential_average.ts";
import { createOptimiser } from "../../lib/inference/optimisers/optimiser.ts";
import type { Parameter } from "../../lib/ops/operation.ts";
import { type Fixture, readFixture, recorded } from "../fixtures/fixture.ts";
import { gpuTests, withGpu } from "../gpu/harness.ts";
import { adamwStep, larsGradient, sgdStep } from "../reference/updates.ts";

const FOLDER = new URL("../fixtures/optimisers/", import.meta.url);
/** Three steps in float32, of tensors of 1200 numbers whose norms are taken. */
const TOLERANCE = 2e-6;

const gpuTest = gpuTests();

const cases = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort()
  .map((file) => ({ name: file.replace(".bin", ""), fixture: readFixture(new URL(file, FOLDER)) }));

function layoutOf(shapes: readonly (readonly number[])[], maxBytes: number) {
  const parameters = shapes.map((torchShape, index): Parameter => ({
    name: `tensor${index}`,
    shape: torchShape,
    torchShape,
    layout: torchShape.length === 4 ? "convolution" : torchShape.length === 2 ? "linear" : "vector",
    vector: "backbone",
    role: "parameter",
  }));
  return layoutVector("backbone", parameters, maxBytes);
}

function worst(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  return Array.from(found).reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i])), 0);
}

/** Takes the recorded steps; after the first one state and weights go through the host into another optimiser. */
async function run(gpu: Gpu, { config, tensors }: Fixture): Promise<Float32Array[]> {
  const layout = layoutOf(config.shapes, gpu.maxBindingBytes), count = layout.count;
  const theta = new FlatVector(gpu, "theta", layout), gradient = new FlatVector(gpu, "gradient", layout);
  const create = () => createOptimiser(gpu, { label: "test", theta, gradient }, config);
  let optimiser = await create();
  const trajectory: Float32Array[] = [];
  theta.write(tensors.get("theta")!.data as Float32Array);
  for (const [step, rate] of config.rates.entries()) {
    gradient.write((tensors.get("gradients")!.data as Float32Array).slice(step * count, (step + 1) * count));
    optimiser.prepare(step, rate);
    submitLaunches(gpu, "update", optimiser.launches);
    trajectory.push(await theta.read());
    if (step > 0) continue;
    const state = await optimiser.readState();
    optimiser.destroy();
    optimiser = await create();
    optimiser.writeState(state);
  }
  optimiser.destroy();
  theta.destroy();
  gradient.destroy();
  return trajectory;
}

for (const { name, fixture } of cases) {
  const { config } = fixture, trajectory = recorded(fixture, "trajectory"), [steps, count] = trajectory.shape;
  const stepOf = (step: number) => trajectory.data.subarray(step * count, (step + 1) * count);

  Deno.test(`${name}: the twin's steps equal PyTorch's`, () => {
    let theta = recorded(fixture, "theta").data, state: Float64Array[] = [];
    for (let step = 0; step < steps; step++) {
      const gradient = recorded(fixture, "gradients").data.slice(step * count, (step + 1) * count);
      const rate = config.rates[step];
      if (config.optimiser === "adamw") {
        ({ theta, state } = adamwStep(theta, state, gradient, { step, rate, weightDecay: config.weightDecay }));
      } else {
        const scaled = larsGradient(theta, gradient, { ...config, rate });
        const next = sgdStep(theta, state[0] ?? new Float64Array(count), scaled, {
          learningRate: rate,
          momentum: config.momentum,
          nesterov: false,
          weightDecay: 0,
        });
        theta = next.theta;
        state = [next.buffer];
      }
      assert(worst(theta, stepOf(step)) <= 1e-13);
    }
  });

  gpuTest(`${name}: createOptimiser() takes PyTorch's steps, and goes on from its state`, async (gpu) => {
    (await run(gpu, fixture)).forEach((found, step) => {
      const error = worst(found, stepOf(step));
      assert(error <= TOLERANCE, `step ${step}: off by ${error}`);
    });
  });
}

Deno.test("createOptimiser() takes the same steps where the vector is cut into shards", async () => {
  const { fixture } = cases.find(({ name }) => name === "lars")!;
  await withGpu({ maxBindingBytes: 8192 }, async (gpu) => {
    const found = await run(gpu, fixture), expected = recorded(fixture, "trajectory"), count = expected.shape[1];
    assert(layoutOf(fixture.config.shapes, gpu.maxBindingBytes).shards.length > 1);
    found.forEach((theta, step) =>
      assert(worst(theta, expected.data.subarray(step * count, (step + 1) * count)) <= TOLERANCE)
    );
  });
});

Deno.test("LARS refuses a tensor that the device cannot bind whole, whose norm it would have to take", async () => {
  const { fixture } = cases.find(({ name }) => name === "lars")!;
  using gpu = await openGpu({ maxBindingBytes: 2048 });
  await assertRejects(() => run(gpu, fixture), OutOfMemoryError, "another optimiser");
});

gpuTest("ExponentialAverage keeps the share that it is told to", async (gpu) => {
  const buffers = [13, 13, 8, 8].map((size, index) => {
    const buffer = gpu.createBuffer("numbers", size * 4);
    gpu.device.queue.writeBuffer(buffer, 0, Float32Array.from({ length: size }, (_, i) => i * (index + 1)));
    return buffer;
  });
  const [average, value, wideAverage, wideValue] = buffers.map((buffer) => ({ buffer, offset: 0, size: buffer.size }));
  const averages = await ExponentialAverage.create(gpu, "test", [
    { average, value },
    { average: wideAverage, value: wideValue },
  ]);
  averages.prepare(0.75);
  submitLaunches(gpu, "test", averages.launches);
  const [narrow, , wide] = await Promise.all(buffers.map(async (buffer) => new Float32Array(await gpu.read(buffer))));
  narrow.forEach((found, i) => assertAlmostEquals(found, 0.75 * i + 0.25 * 2 * i, 1e-5));
  wide.forEach((found, i) => assertAlmostEquals(found, 0.75 * 3 * i + 0.25 * 4 * i, 1e-5));
  assertEquals([narrow.length, wide.length], [13, 8]);
  averages.destroy();
  buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
});
