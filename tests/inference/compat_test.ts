/**
 * `--compat`: the original's numbers, each defect by name (D2, D3, D5, D6, D9, D11 of hsouri/BayesianTransferLearning), beside
 * the correct form that is the default.
 *
 * @module
 */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { openGpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { FlatVector } from "../../lib/graph/vector.ts";
import { GradientClip } from "../../lib/inference/clip.ts";
import { DeviceGaussian } from "../../lib/priors/device_gaussian.ts";
import { Control } from "../../lib/gpu/control.ts";
import { controlOf, type SamplerSettings } from "../../lib/inference/samplers.ts";
import { FlatUpdate } from "../../lib/inference/update.ts";
import { type Gaussian, isotropic, shiftedGaussian } from "../../lib/priors/gaussian.ts";
import type { Swag } from "../../lib/priors/swag.ts";
import { layoutOf } from "./workbench.ts";

/** Three orthogonal rows, so that the rotation of the prior's rows only orders them. */
const SWAG: Swag = {
  mean: new Float32Array(6),
  variance: Float32Array.from([1, 2, 3, 4, 5, 6]),
  covFactor: [
    Float32Array.from([1, 0, 0, 0, 0, 0]),
    Float32Array.from([0, 2, 0, 0, 0, 0]),
    Float32Array.from([0, 0, 3, 0, 0, 0]),
  ],
};

/** Diagonal of W W^T. */
function lowRankVariance({ rows, mean }: Gaussian): number[] {
  return Array.from(mean, (_, i) => rows.reduce((sum, row) => sum + row[i] ** 2, 0));
}

Deno.test("D2, D3, D5: compat scales the factor by lambda, keeps SWAG whole and the oldest rows as they are", () => {
  const compat = shiftedGaussian(SWAG, { scale: 10, eps: 0.5, rank: 2, compat: true });
  assertEquals([...compat.psi], [10.5, 20.5, 30.5, 40.5, 50.5, 60.5]);
  lowRankVariance(compat).forEach((value, i) => assertAlmostEquals(value, [100, 400, 0, 0, 0, 0][i], 1e-4));
});

Deno.test("D2, D3, D5: the default scales the covariance, halves it and takes the newest rows, renormalised", () => {
  const correct = shiftedGaussian(SWAG, { scale: 10, eps: 0.5, rank: 2 });
  assertEquals([...correct.psi], [5.5, 10.5, 15.5, 20.5, 25.5, 30.5]);
  // scale / 2 times (K - 1) / (k - 1) = 2 times the squared rows.
  lowRankVariance(correct).forEach((value, i) => assertAlmostEquals(value, [0, 40, 90, 0, 0, 0][i], 1e-4));
});

Deno.test("D6: compat SGLD drifts by half its learning rate at the noise of the whole one: twice the temperature", () => {
  const settings: SamplerSettings = {
    sampler: "sgld",
    momentum: 0,
    temperature: 0.3,
    numData: 100,
    priorStep: "explicit",
  };
  const at = { seed: 0, chain: 0, step: 0, learningRate: 0.02, noisy: true };
  const compat = controlOf({ ...settings, compat: true }, at), correct = controlOf(settings, at);
  assertAlmostEquals(compat.learningRate!, 0.01, 1e-12);
  assertAlmostEquals(compat.noise! ** 2, 2 * 0.02 * 0.3 / 100, 1e-12);
  assertAlmostEquals(correct.learningRate!, 0.02, 1e-12);
  assertAlmostEquals(correct.noise! ** 2, 2 * 0.02 * 0.3 / 100, 1e-12);
  // Stationary variance is proportional to noise^2 / (2 drift): 2 T against T.
  assertAlmostEquals(
    (compat.noise! ** 2 / compat.learningRate!) / (correct.noise! ** 2 / correct.learningRate!),
    2,
    1e-9,
  );
});

Deno.test("D11: weight decay moves a vector only where it is allowed to", async () => {
  using gpu = await openGpu();
  const layout = layoutOf(gpu, [70]);
  const start = Float32Array.from({ length: 70 }, (_, i) => i - 35);
  for (const decay of [true, false]) {
    const theta = new FlatVector(gpu, "theta", layout), gradient = new FlatVector(gpu, "gradient", layout);
    theta.write(start);
    const control = new Control(gpu, "decay");
    const update = await FlatUpdate.create(gpu, control, {
      label: "decay",
      sampler: "sgd",
      theta,
      gradient,
      priorStep: "explicit",
      decay,
      stream: 0,
      anchorStream: 9,
    });
    const settings = {
      sampler: "sgd",
      momentum: 0,
      temperature: 0,
      numData: 1,
      priorStep: "explicit",
      weightDecay: 0.5,
    } as const;
    control.write(controlOf(settings, { seed: 0, chain: 0, step: 0, learningRate: 0.1, noisy: false }));
    submitLaunches(gpu, "step", update.launches(0));
    const moved = await theta.read();
    const expected = decay ? 0.95 : 1;
    assert(moved.every((value, i) => Math.abs(value - expected * start[i]) < 1e-5), `decay ${decay}`);
  }
});

Deno.test("D9: clipping bounds the joint norm of likelihood and prior gradient, and leaves a small one alone", async () => {
  using gpu = await openGpu();
  const layout = layoutOf(gpu, [70, 5]);
  const numData = 4, psi = 0.5;
  const mean = new Float32Array(75), start = Float32Array.from({ length: 75 }, (_, i) => (i - 30) / 20);
  const likelihood = Float32Array.from({ length: 75 }, (_, i) => Math.sin(i));
  const whole = likelihood.map((g, i) => g + start[i] / psi / numData);
  const norm = Math.hypot(...whole);
  for (const clipNorm of [norm / 3, norm * 3]) {
    const theta = new FlatVector(gpu, "theta", layout), gradient = new FlatVector(gpu, "gradient", layout);
    theta.write(start);
    gradient.write(likelihood);
    const control = new Control(gpu, "clip");
    const update = await FlatUpdate.create(gpu, control, {
      label: "clip",
      sampler: "sgd",
      theta,
      gradient,
      prior: new DeviceGaussian(gpu, layout, isotropic(mean, psi)),
      priorStep: "explicit",
      clipped: true,
      stream: 0,
      anchorStream: 9,
    });
    const clip = await GradientClip.create(gpu, [gradient], clipNorm);
    const settings = { sampler: "sgd", momentum: 0, temperature: 0, numData, priorStep: "explicit" } as const;
    control.write(controlOf(settings, { seed: 0, chain: 0, step: 0, learningRate: 0.1, noisy: false }));
    submitLaunches(gpu, "step", [...update.gradientLaunches, ...clip.launches, ...update.launches(0)]);
    const moved = await theta.read();
    const scale = Math.min(1, clipNorm / norm);
    // Float32 sums of 75 squares: relative error far below 1e-5.
    moved.forEach((value, i) => assertAlmostEquals(value, start[i] - 0.1 * scale * whole[i], 1e-5));
  }
});
