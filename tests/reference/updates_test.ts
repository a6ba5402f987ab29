import { assertAlmostEquals, assertEquals } from "@std/assert";
import { psgldStep, sgdStep, sghmcInitialVelocity, sghmcStep, sgldStep } from "./updates.ts";

const THETA = Float64Array.of(1), GRADIENT = Float64Array.of(3), NOISE = Float64Array.of(2);
/** η = 0.02, T = 0.5, N = 2: √(2ηT/N) = 0.1 and √(ηT/N) = √0.005. */
const OPTIONS = { learningRate: 0.02, temperature: 0.5, examples: 2 };

Deno.test("sgldStep() adds √(2ηT/N) ξ", () => {
  assertAlmostEquals(sgldStep(THETA, GRADIENT, NOISE, OPTIONS)[0], 1 - 0.06 + 0.2, 1e-15);
});

Deno.test("sghmcStep() damps the velocity, adds √(2αηT/N) ξ and moves by the new velocity", () => {
  const { theta, velocity } = sghmcStep(THETA, Float64Array.of(0.4), GRADIENT, NOISE, { ...OPTIONS, friction: 0.25 });
  assertAlmostEquals(velocity[0], 0.3 - 0.06 + 0.1, 1e-15);
  assertAlmostEquals(theta[0], 1.34, 1e-15);
  assertAlmostEquals(sghmcInitialVelocity(NOISE, OPTIONS)[0], 2 * Math.sqrt(0.005), 1e-15);
});

Deno.test("psgldStep() preconditions gradient and noise by 1 / (√V + damping)", () => {
  const { theta, square } = psgldStep(THETA, Float64Array.of(7), GRADIENT, NOISE, {
    ...OPTIONS,
    decay: 0.5,
    damping: 0.25,
  });
  const preconditioner = 1 / (Math.sqrt(8) + 0.25);
  assertAlmostEquals(square[0], 8, 1e-15);
  assertAlmostEquals(theta[0], 1 - 0.06 * preconditioner + 0.2 * Math.sqrt(preconditioner), 1e-15);
});

Deno.test("at temperature 0, sgldStep() is SGD and sghmcStep() is SGD with momentum 1 − α", () => {
  const cold = { ...OPTIONS, temperature: 0 };
  const plain = { learningRate: 0.02, momentum: 0, nesterov: false, weightDecay: 0 };
  assertEquals(
    sgldStep(THETA, GRADIENT, NOISE, cold),
    sgdStep(THETA, Float64Array.of(0), GRADIENT, plain).theta,
  );
  let descent = { theta: THETA, buffer: Float64Array.of(0) } as ReturnType<typeof sgdStep>;
  let sampler = { theta: THETA, velocity: Float64Array.of(0) } as ReturnType<typeof sghmcStep>;
  for (let step = 0; step < 3; step++) {
    const gradient = GRADIENT.map((g) => g - step);
    descent = sgdStep(descent.theta, descent.buffer, gradient, { ...plain, momentum: 0.75 });
    sampler = sghmcStep(sampler.theta, sampler.velocity, gradient, NOISE, { ...cold, friction: 0.25 });
    assertAlmostEquals(sampler.theta[0], descent.theta[0], 1e-15);
  }
});
