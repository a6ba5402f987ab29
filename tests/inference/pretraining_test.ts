import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { pretraining } from "../../lib/inference/pretraining.ts";
import { collectedSteps } from "../../lib/inference/schedules.ts";
import { constantSwag } from "../../lib/inference/swag_schedules.ts";

const then = constantSwag({ learningRate: 0.02, steps: 6, start: 2, interval: 2 });

Deno.test("pretraining() warms up, anneals, then hands over", () => {
  const schedule = pretraining({ learningRate: 0.4, steps: 10, warmup: 4 }, then);
  assertEquals([schedule.steps, collectedSteps(schedule)], [16, [11, 13, 15]]);
  const rates = Array.from({ length: 16 }, (_, step) => schedule.learningRate(step));
  [0.1, 0.2, 0.3, 0.4, 0.4].forEach((rate, step) => assertAlmostEquals(rates[step], rate, 1e-12));
  assertAlmostEquals(rates[7], 0.2, 1e-12);
  assertAlmostEquals(rates[9], 0.2 * (Math.cos(Math.PI * 5 / 6) + 1), 1e-12);
  assertEquals(rates.slice(10), Array(6).fill(0.02));
  assertEquals([0, 9, 12].map((step) => schedule.noise(step)), [false, false, false]);
});

Deno.test("pretraining() of no steps is what follows", () => {
  const schedule = pretraining({ learningRate: 0.4, steps: 0 }, then);
  assertEquals([schedule.steps, collectedSteps(schedule), schedule.learningRate(0)], [6, [1, 3, 5], 0.02]);
});

Deno.test("pretraining() refuses what is impossible", () => {
  assertThrows(() => pretraining({ learningRate: 0.4, steps: 3, warmup: 4 }, then), RangeError, "not longer");
  assertThrows(() => pretraining({ learningRate: 0.4, steps: 2.5 }, then), RangeError, "whole numbers");
  assertThrows(() => pretraining({ learningRate: NaN, steps: 2 }, then), RangeError, "a finite number");
  const schedule = pretraining({ learningRate: 0.4, steps: 3 }, then);
  for (const step of [-1, 9, 0.5]) assertThrows(() => schedule.learningRate(step), RangeError);
});
