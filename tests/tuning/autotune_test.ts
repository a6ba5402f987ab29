import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { autotuneClassifier, classifierProducts } from "../../lib/inference/autotune.ts";
import { lowerForward } from "../../lib/graph/graph.ts";
import { buildClassifier } from "../../lib/models/classifier.ts";
import { proceduralDownstream } from "../../lib/data/procedural.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { samplePosterior } from "../../lib/inference/chain.ts";
import { learnPrior } from "../../lib/inference/learn_prior.ts";
import { constant } from "../../lib/inference/schedules.ts";
import { constantSwag } from "../../lib/inference/swag_schedules.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { type Dispatch, scratch, targetOf } from "../../lib/ops/operation.ts";
import type { Variant } from "../../lib/ops/product.ts";
import { autotune, defaultSeconds } from "../../lib/tuning/autotune.ts";
import { LaunchClock } from "../../lib/tuning/launch_clock.ts";
import { DeviceProductBench } from "../../lib/tuning/product_bench.ts";
import { collectProducts, kernelHash, type ProductClass } from "../../lib/tuning/products.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { gpuTests, withGpu } from "../gpu/harness.ts";

const gpuTest = gpuTests();

/** The three products of a small convolution. */
function productsOf(gpu: Gpu, accumulate = false): ProductClass[] {
  const operation = conv2d("conv", scratch("input", [2, 9, 9, 8]), scratch("weight", [3, 3, 8, 16]), { padding: 1 });
  return collectProducts(targetOf(gpu, { training: true }), (target) => {
    operation.forward(target);
    operation.backward(target, scratch("dOutput", operation.output.shape), (input) => ({
      tensor: scratch(`d ${input.name}`, input.shape),
      accumulate,
    }));
  });
}

/** The default with other launches, under a name of its own. */
function changed(product: ProductClass, name: string, change: (dispatch: Dispatch) => Dispatch): Variant {
  return { name, lower: () => product.variants[0].lower().map(change) };
}

/** Searches a product with one more variant, which it would prefer if it were right. */
async function searchWith(gpu: Gpu, product: ProductClass, variant: Variant) {
  const variants = [product.variants[0], variant];
  const { rows } = await autotune(gpu, [{ ...product, variants }], { seconds: 100, margin: -1e9 });
  gpu.tuning = {};
  return rows[0];
}

for (const accumulate of [false, true]) {
  gpuTest(`autotune() rejects variants with wrong numbers, ${accumulate ? "added" : "written"}`, async (gpu) => {
    for (const product of productsOf(gpu, accumulate)) {
      const same = await searchWith(gpu, product, changed(product, "same", (dispatch) => dispatch));
      assertEquals([same.tried, same.rejected], [2, []], product.shapeClass);

      // Wherever it looks: half a launch, nothing at all, or a neighbour of the right operand.
      const half = changed(product, "half", ({ groups: [x, y, z], ...rest }) => ({
        ...rest,
        groups: x > 1 ? [x >> 1, y, z] : y > 1 ? [x, y >> 1, z] : [x, y, z],
      }));
      const shifted = changed(product, "shifted", (dispatch) => ({
        ...dispatch,
        constants: { ...dispatch.constants, PAD: 0 },
      }));
      const nothing: Variant = { name: "nothing", lower: () => product.variants[0].lower().slice(1) };
      for (const wrong of [half, shifted, nothing]) {
        const { chosen, rejected } = await searchWith(gpu, product, wrong);
        assertEquals(chosen, product.variants[0].name, `${product.shapeClass}: ${wrong.name}`);
        assertMatch(rejected[0], /numbers differ from the default's by/);
      }
    }
  });
}

gpuTest("autotune() rejects variants that cannot be built or need too much, and the device goes on", async (gpu) => {
  const [product] = productsOf(gpu);
  const text = changed(product, "text", (dispatch) => ({ ...dispatch, source: "no kernel" }));
  const groups = changed(product, "groups", (dispatch) => ({ ...dispatch, groups: [70000, 1, 1] }));
  const huge = changed(product, "huge", (dispatch) => ({
    ...dispatch,
    bindings: [...dispatch.bindings.slice(0, -1), scratch("huge", [2 ** 33])],
  }));
  for (const wrong of [text, groups, huge]) {
    const { chosen, rejected } = await searchWith(gpu, product, wrong);
    assertEquals([chosen, rejected.length], [product.variants[0].name, 1], wrong.name);
  }
  assertEquals((await searchWith(gpu, product, changed(product, "same", (dispatch) => dispatch))).rejected, []);
});

gpuTest("autotune() passes over what is known, and lets the device use all of it", async (gpu) => {
  const products = productsOf(gpu);
  const [first, second] = products;
  const known = { [first.shapeClass]: first.variants[1].name };
  const { rows, table, left } = await autotune(gpu, products.slice(0, 2), { known, seconds: 100 });
  assertEquals([rows.length, left], [1, 0]);
  assertEquals(table, { ...known, [second.shapeClass]: rows[0].chosen });
  assertEquals(gpu.tuning, table);
  gpu.tuning = {};
});

gpuTest("LaunchClock finds one kernel slower than another, by timestamps and without them", async (gpu) => {
  const operation = (side: number) =>
    conv2d("conv", scratch("input", [4, side, side, 32]), scratch("weight", [3, 3, 32, 32]));
  const productOf = (side: number) =>
    collectProducts(targetOf(gpu, { training: true }), (target) => operation(side).forward(target))[0];
  assert(gpu.device.features.has("timestamp-query"));
  for (const timestamps of [true, false]) {
    const clock = new LaunchClock(gpu, { timestamps });
    const times: number[] = [];
    for (const side of [6, 34]) {
      const product = productOf(side);
      const bench = await DeviceProductBench.open(gpu, product, clock);
      times.push(await bench.time(product.variants[0]));
      bench.destroy();
    }
    clock.destroy();
    // 64 times the work; a launch costs as long as some of it.
    assert(times[0] > 0 && times[1] > 4 * times[0], `${times} with timestamps ${timestamps}`);
  }
});

gpuTest("LaunchClock without timestamps repeats short launches no more than it must on a busy host", async (gpu) => {
  const { queue } = gpu.device, done = queue.onSubmittedWorkDone.bind(queue);
  let waits = 0;
  // As where another process takes the host away while it waits for nothing.
  queue.onSubmittedWorkDone = async () => {
    await done();
    if (waits++ === 0) await new Promise((resolve) => setTimeout(resolve, 200));
  };
  const [product] = productsOf(gpu);
  const clock = new LaunchClock(gpu, { timestamps: false });
  const bench = await DeviceProductBench.open(gpu, product, clock);
  const start = performance.now();
  assert(await bench.time(product.variants[0]) > 0);
  assert(performance.now() - start < 5_000);
  bench.destroy();
  clock.destroy();
});

gpuTest("kernelHash() tells other kernel texts, constants and defaults, and nothing else", async (gpu) => {
  const [product, other] = productsOf(gpu);
  assertMatch(await kernelHash(product), /^[0-9a-f]{16}$/);
  assertEquals(await kernelHash(product), await kernelHash({ ...product }));
  assertEquals(await kernelHash(other), await kernelHash(productsOf(gpu)[1]));
  const text = changed(product, "text", (dispatch) => ({ ...dispatch, source: `${dispatch.source}\n` }));
  const constants = changed(product, "constants", (dispatch) => ({
    ...dispatch,
    constants: { ...dispatch.constants, BK: 8 },
  }));
  const [usual, ...others] = product.variants;
  for (
    const variants of [[{ ...text, name: usual.name }, ...others], [{ ...constants, name: usual.name }, ...others], [
      ...others,
      usual,
    ]]
  ) {
    assertNotEquals(await kernelHash({ ...product, variants }), await kernelHash(product));
  }
});

const TINY = { encoder: "resnet8_narrow", numClasses: 3, height: 16, width: 16 };

gpuTest("autotuneClassifier() within no time changes nothing; the budget depends on the adapter", async (gpu) => {
  const products = classifierProducts(gpu, TINY, 4);
  assert(products.length >= 10);
  const work = products.map(({ count, flops }) => count * flops);
  assertEquals(work, work.toSorted((a, b) => b - a));
  const { table, rows, left } = await autotuneClassifier(gpu, TINY, 4, { seconds: 0 });
  assertEquals([table, rows, gpu.tuning], [{}, [], {}]);
  assertEquals(left, products.filter(({ variants }) => variants.length > 1).length);
  assertEquals(defaultSeconds(gpu), gpu.adapter.isCpu ? 120 : 5);
});

Deno.test("openGpu() takes a table, which what is lowered follows", async () => {
  const { graph } = buildClassifier(TINY, 4);
  const parts = (gpu: Gpu) =>
    lowerForward(graph, targetOf(gpu, { training: true })).filter(({ label }) => label.endsWith("forward reduction"));
  const tuning: Record<string, string> = {};
  await withGpu({ schedule: "gpu" }, (gpu) => {
    assertEquals(parts(gpu).length, 0);
    for (const { shapeClass, variants } of classifierProducts(gpu, TINY, 4)) {
      const split = variants.find(({ name }) => name.includes(" in "));
      if (split !== undefined) tuning[shapeClass] = split.name;
    }
  });
  await withGpu({ schedule: "gpu", tuning }, (gpu) => {
    assertEquals(gpu.tuning, tuning);
    assert(parts(gpu).length > 0);
  });
});

gpuTest("learnPrior() and samplePosterior() tune first where they are asked to", async (gpu) => {
  const model = { encoder: "resnet8_narrow", numClasses: 10, height: 32, width: 32 };
  const common = {
    model,
    weights: initialWeights(layoutModel(model), 1),
    train: proceduralDownstream({ seed: 1, perClass: 1 }),
    batchSize: 64,
    normalisation: NORMALISATIONS.imagenet,
    seed: 1,
  };
  const settings = { sampler: "sgd", momentum: 0, temperature: 0, numData: 10, priorStep: "explicit" } as const;
  const schedule = constant({ learningRate: 0.01, steps: 2, samples: 1 });
  const runs = [
    () =>
      learnPrior(gpu, {
        ...common,
        schedule: constantSwag({ learningRate: 0.01, steps: 3, start: 1, interval: 1 }),
        autotune,
      }),
    () => samplePosterior(gpu, { ...common, settings, schedule, autotune }),
  ];
  const autotune = { seconds: 0.1 };
  for (const run of runs) {
    gpu.tuning = {};
    await run();
    // The set is smaller than a batch, and trains whole.
    const classes = classifierProducts(gpu, model, 10).map(({ shapeClass }) => shapeClass);
    assert(Object.keys(gpu.tuning).length > 0);
    assertEquals(Object.keys(gpu.tuning).filter((name) => !classes.includes(name)), []);
  }
  gpu.tuning = {};
});
