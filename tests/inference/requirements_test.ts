import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { proceduralDownstream } from "../../lib/data/procedural.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { samplePosterior } from "../../lib/inference/chain.ts";
import { FeatureSession } from "../../lib/inference/features.ts";
import { learnPrior } from "../../lib/inference/learn_prior.ts";
import { averagePredictions } from "../../lib/inference/prediction.ts";
import { requireSettings, type SamplerSettings } from "../../lib/inference/samplers.ts";
import { cyclical } from "../../lib/inference/schedules.ts";
import { constantSwag } from "../../lib/inference/swag_schedules.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { gpuTests } from "../gpu/harness.ts";

const gpuTest = gpuTests();

const train = proceduralDownstream({ seed: 1, perClass: 2 });
const settings: SamplerSettings = {
  sampler: "sghmc",
  momentum: 0.9,
  temperature: 1,
  numData: 20,
  priorStep: "implicit",
};
const configOf = (change: Partial<{ height: number; numClasses: number }> = {}) => {
  return { encoder: "resnet8_narrow", height: 32, width: 32, numClasses: 10, ...change };
};

/** What a run would be given; `change` makes it wrong. */
function optionsOf(change: Partial<{ height: number; numClasses: number }> = {}) {
  const model = configOf(change), weights = initialWeights(layoutModel(model), 1);
  return { model, weights, train, batchSize: 4, seed: 1, normalisation: NORMALISATIONS.imagenet };
}

const schedule = cyclical({ learningRate: 0.01, steps: 2, cycles: 1, samples: 1 });

/** Rejects before anything stays on the device. */
async function refused(gpu: Gpu, run: () => Promise<unknown>, kind: ErrorConstructor, message: string): Promise<void> {
  const before = gpu.live;
  await assertRejects(run, kind, message);
  assertEquals(gpu.live, before);
}

gpuTest("images and labels that do not fit the network are refused before the first step", async (gpu) => {
  const size = "its images are 32x32, but the network takes 64x32";
  const sample = (change: Parameters<typeof optionsOf>[0]) =>
    samplePosterior(gpu, { ...optionsOf(change), settings, schedule });
  const learn = (change: Parameters<typeof optionsOf>[0]) =>
    learnPrior(gpu, { ...optionsOf(change), schedule: constantSwag({ learningRate: 0.01, steps: 2 }) });
  for (const run of [sample, learn]) {
    await refused(gpu, () => run({ height: 64 }), TypeError, size);
    await refused(gpu, () => run({ numClasses: 5 }), RangeError, "but the network has 5 classes");
  }
  const model = new DeviceModel(gpu, configOf({ height: 64 }));
  const features = await FeatureSession.create(model, { batchSize: 4, normalisation: NORMALISATIONS.imagenet });
  await assertRejects(() => features.features(train), TypeError, size);
  features.destroy();
  model.destroy();
});

gpuTest("what fails on the way to the first step leaves nothing on the device", async (gpu) => {
  const options = { ...optionsOf(), settings, schedule };
  const other = initialWeights(layoutModel(configOf({ numClasses: 3 })), 1);
  await refused(gpu, () => samplePosterior(gpu, { ...options, weights: other }), Error, "");
  const swag = constantSwag({ learningRate: 0.01, steps: 2 });
  await refused(gpu, () => learnPrior(gpu, { ...options, schedule: swag, maxRank: -1 }), Error, "");
  const unknown = { ...settings, sampler: "hmc" as "sghmc" };
  await refused(gpu, () => samplePosterior(gpu, { ...options, settings: unknown }), RangeError, "the sampler is hmc");
});

gpuTest("a batch of no examples is refused, and the device works on", async (gpu) => {
  const { model, weights, normalisation } = optionsOf();
  const average = (batchSize: number) => averagePredictions(gpu, model, [weights], train, { batchSize, normalisation });
  for (const batchSize of [0, -1, 1.5, NaN]) {
    await refused(gpu, () => average(batchSize), RangeError, `batches of ${batchSize} examples`);
  }
  assertEquals((await average(4)).probabilities().length, 200);
});

Deno.test("requireSettings() refuses what means nothing, by name", () => {
  requireSettings(settings);
  const wrong = [["momentum", 1], ["momentum", -0.1], ["temperature", NaN], ["temperature", -1], [
    "numData",
    0,
  ]] as const;
  for (const [name, value] of wrong) {
    assertThrows(
      () => requireSettings({ ...settings, [name]: value }),
      RangeError,
      `Cannot sample: ${name} is ${value}, but a number`,
    );
  }
});
