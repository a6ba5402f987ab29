/**
 * SWAG on networks that are no ResNets: what is collected while an imported ViT and MobileNet train, what is drawn from
 * it, and its density.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { proceduralDownstream } from "../../lib/data/procedural.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { type LearnedPrior, learnPrior } from "../../lib/inference/learn_prior.ts";
import { collectedSteps } from "../../lib/inference/schedules.ts";
import { constantSwag } from "../../lib/inference/swag_schedules.ts";
import { TrainingSession } from "../../lib/inference/training.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { SwagSampler } from "../../lib/priors/draw.ts";
import { shiftedGaussian } from "../../lib/priors/gaussian.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { gpuTests } from "../gpu/harness.ts";
import { cholesky, choleskySolve } from "../reference/cholesky.ts";
import { compensatedSum, logDensityWoodbury, type LowRankNormal } from "../reference/low_rank_normal.ts";
import { swagFactors, swagMoments, swagPrior } from "../reference/swag.ts";

const gpuTest = gpuTests();
const NETWORKS = ["vit", "mobilenet"];
const NORMALISATION = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] } as const;
const SCHEDULE = constantSwag({ learningRate: 0.02, steps: 7, start: 2 });
const MAX_RANK = 3, CLAMP = 1e-12;

/** A fixture as a classifier, with the weights of its file. */
async function imported(name: string): Promise<{ model: ClassifierConfig; weights: Weights }> {
  const { bytes, size, classes } = await readOnnxFixture(name);
  const network = onnxNetwork(await readOnnxModel(bytes, name));
  const model = { encoder: name, network, numClasses: classes, height: size, width: size };
  const stored = weightsOf(network.model, network.head);
  return { model, weights: weightsFromStateDict(layoutModel(model), stored, { head: "require", seed: 1 }) };
}

/** Learns a prior, and keeps the backbone after every step. */
async function learn(
  gpu: Gpu,
  name: string,
  varianceClamp: number,
): Promise<LearnedPrior & { readonly model: ClassifierConfig; readonly trajectory: readonly Float64Array[] }> {
  const { model, weights } = await imported(name);
  const trajectory: Float64Array[] = [];
  const learned = await learnPrior(gpu, {
    model,
    weights,
    train: proceduralDownstream({ seed: 1, perClass: 4 }),
    batchSize: 8,
    normalisation: NORMALISATION,
    schedule: SCHEDULE,
    maxRank: MAX_RANK,
    varianceClamp,
    seed: 1,
    hooks: {
      checkpointSteps: 1,
      onCheckpoint: ({ weights: { backbone } }) => void trajectory.push(Float64Array.from(backbone)),
    },
  });
  return { ...learned, model, trajectory };
}

/** Those of tests/priors/draw_test.ts, and draws at each. A dense covariance, as there, would take gigabytes. */
const SCALES = [1e-4, 1e-2, 1, 10, 1e3, 1e5], DRAWS = 20;

/** The 95 % point of chi squared (Wilson and Hilferty; within 1e-3 standard deviations at this size). */
function chiSquared95(size: number): number {
  const part = 2 / (9 * size);
  return size * (1 - part + 1.6448536 * Math.sqrt(part)) ** 3;
}

/** The squared Mahalanobis distance of a point from the mean, by Woodbury's identity with its factor made once. */
function squaredDistance({ mean, psi, factors }: LowRankNormal): (theta: Float64Array) => number {
  const rank = factors.length, size = mean.length, capacitance = new Float64Array(rank * rank);
  const product = (a: Float64Array, b: Float64Array) => compensatedSum(size, (i) => a[i] * b[i] / psi[i]);
  for (let k = 0; k < rank; k++) {
    for (let l = 0; l < rank; l++) capacitance[k * rank + l] = product(factors[k], factors[l]) + (k === l ? 1 : 0);
  }
  const lower = cholesky(capacitance, rank);
  return (theta) => {
    const apart = theta.map((value, i) => value - mean[i]),
      y = Float64Array.from(factors, (row) => product(row, apart));
    const solved = choleskySolve(lower, y);
    return product(apart, apart) - y.reduce((sum, value, k) => sum + value * solved[k], 0);
  };
}

const wide = (row: Float32Array) => Float64Array.from(row);

function assertWithin(found: Float32Array, expected: Float64Array, bound: (index: number) => number): void {
  assertEquals(found.length, expected.length);
  for (let i = 0; i < found.length; i++) {
    const apart = Math.abs(found[i] - expected[i]);
    assert(apart <= bound(i), `element ${i} is ${found[i]}, not ${expected[i]}: ${apart} is more than ${bound(i)}`);
  }
}

for (const name of NETWORKS) {
  gpuTest(
    `learnPrior() of an imported ${name} has the moments of its trajectory and the newest deviations`,
    async (gpu) => {
      const { swag, snapshots, model, trajectory } = await learn(gpu, name, CLAMP);
      const taken = collectedSteps(SCHEDULE).map((step) => trajectory[step]);
      assertEquals([snapshots, trajectory.length], [taken.length, SCHEDULE.steps]);
      const expected = swagMoments(taken, MAX_RANK, CLAMP), rows = swagFactors(expected.deviations);
      // The bounds of tests/priors/swag_test.ts: float32 cannot hold the running mean better than half a unit a snapshot.
      const unit = (i: number) => 2 ** -24 * Math.max(Math.abs(expected.mean[i]), 0.01) * 2;
      assertWithin(swag.mean, expected.mean, (i) => 2 * unit(i));
      assertWithin(
        swag.variance,
        expected.variance,
        (i) => 6 * unit(i) * Math.sqrt(expected.variance[i]) + unit(i) ** 2 * 4 + 1e-6 * expected.variance[i],
      );
      assertEquals(swag.covFactor.length, MAX_RANK);
      swag.covFactor.forEach((row, k) => assertWithin(row, rows[k], (i) => 4 * unit(i) + 1e-6 * Math.abs(rows[k][i])));
      // Nothing stood still but what has no gradient but for rounding, as a bias before a normalisation.
      const { gradients } = await readOnnxFixture(name), largest = Math.max(...gradients.map(({ norm }) => norm));
      const still = new Set(gradients.filter(({ norm }) => norm < 1e-6 * largest).map((gradient) => gradient.name));
      const { backbone } = layoutModel(model);
      for (const { name, torchOffset, size } of backbone.entries) {
        const moved = trajectory[0].subarray(torchOffset, torchOffset + size)
          .some((value, i) => value !== trajectory[1][torchOffset + i]);
        assert(moved || still.has(name), `${name} does not train`);
      }
    },
  );

  gpuTest(`draws from the SWAG posterior of an imported ${name} cover at six scales`, async (gpu) => {
    const { swag, model } = await learn(gpu, name, 1e-6);
    const network = new DeviceModel(gpu, model), { backbone } = network.vectors;
    const sampler = await SwagSampler.create(gpu, swag, backbone);
    const size = swag.mean.length, inside95 = chiSquared95(size);
    let inside = 0;
    for (const [number, scale] of SCALES.entries()) {
      const squared = squaredDistance(
        swagPrior(wide(swag.mean), wide(swag.variance), swag.covFactor.map(wide), scale, 0),
      );
      let sum = 0;
      for (let index = 0; index < DRAWS; index++) {
        sampler.draw({ seed: 100 + number, index, scale });
        const found = squared(wide(await backbone.read())), score = (found - size) / Math.sqrt(2 * size);
        assert(
          Math.abs(score) < 5,
          `at scale ${scale} draw ${index} is ${score} standard deviations from its distance`,
        );
        sum += score;
        if (found < inside95) inside++;
      }
      // So many parameters show an error of the variance of 1 %.
      const mean = sum / DRAWS;
      assert(Math.abs(mean) < 5 / Math.sqrt(DRAWS), `at scale ${scale} the distances are off by ${mean} deviations`);
    }
    const count = DRAWS * SCALES.length, spread = Math.sqrt(count * 0.95 * 0.05);
    assert(Math.abs(inside - 0.95 * count) < 4.9 * spread, `${inside} of ${count} draws are inside`);
    sampler.destroy();
    network.destroy();
  });

  gpuTest(`the device's log prior of an imported ${name} is Woodbury's in float64 within 1e-5`, async (gpu) => {
    const { swag, model, weights, trajectory } = await learn(gpu, name, 1e-6);
    const thetas = [wide(swag.mean), trajectory[0], trajectory[0].map((value, i) => value + 0.01 * Math.sin(i))];
    for (const [scale, eps] of [[1, 1e-8], [100, 1e-4], [1e5, 1e-3]]) {
      const prior = shiftedGaussian(swag, { scale, eps });
      const normal = swagPrior(wide(swag.mean), wide(swag.variance), swag.covFactor.map(wide), scale, eps);
      const network = new DeviceModel(gpu, model);
      const session = await TrainingSession.create(network, {
        batchSize: 8,
        normalisation: NORMALISATION,
        seed: 1,
        prior,
        settings: { sampler: "sgd", momentum: 0, temperature: 0, numData: 40, priorStep: "implicit" },
      });
      for (const theta of thetas) {
        network.write({ ...weights, backbone: Float32Array.from(theta) });
        const expected = logDensityWoodbury(theta, normal), found = await session.logPrior();
        assert(Math.abs(found / expected - 1) < 1e-5, `at scale ${scale} it is ${found}, not ${expected}`);
      }
      session.destroy();
      network.destroy();
    }
  });
}
