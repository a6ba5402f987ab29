import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { collectedSteps, constant, cosine, cyclical, mostInCycles } from "../../lib/inference/schedules.ts";
import { constantSwag, cyclicalSwag } from "../../lib/inference/swag_schedules.ts";

/** Numbers of steps done at each sample: 1 more than the step's own number. */
function done(schedule: Parameters<typeof collectedSteps>[0]): number[] {
  return collectedSteps(schedule).map((step) => step + 1);
}

Deno.test("constant() keeps its rate and spreads samples evenly after the burn-in", () => {
  const schedule = constant({ learningRate: 0.1, steps: 100, samples: 5, burnIn: 0.5 });
  assertEquals(done(schedule), [60, 70, 80, 90, 100]);
  assertEquals([0, 50, 99].map(schedule.learningRate), [0.1, 0.1, 0.1]);
  assertEquals([0, 50, 99].map(schedule.noise), [true, true, true]);
  assertEquals(done(constant({ learningRate: 0.1, steps: 10 })), [10]);
  assertEquals(done(constant({ learningRate: 0.1, steps: 10, samples: 0 })), []);
  assertEquals(done(constant({ learningRate: 0.1, steps: 10, samples: 10, burnIn: 0 })), [
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
  ]);
  assertEquals(done(constant({ learningRate: 0.1, steps: 10, samples: 3, burnIn: 0 })), [3, 6, 10]);
});

Deno.test("cosine() passes its golden points", () => {
  const schedule = cosine({ learningRate: 0.2, steps: 100 });
  assertEquals(schedule.learningRate(0), 0.2);
  assertAlmostEquals(schedule.learningRate(50), 0.1, 1e-15);
  assertAlmostEquals(schedule.learningRate(25), 0.1 * (1 + Math.SQRT1_2), 1e-15);
  assertAlmostEquals(schedule.learningRate(99), 0.1 * (1 - Math.cos(Math.PI / 100)), 1e-15);
});

Deno.test("cyclical() passes its golden points", () => {
  const schedule = cyclical({ learningRate: 0.5, steps: 1000 });
  assertEquals(done(schedule).slice(0, 3), [125, 187, 250]);
  assertEquals(done(schedule), [0, 250, 500, 750].flatMap((start) => [start + 125, start + 187, start + 250]));
  for (const cycle of [0, 250, 500, 750]) {
    assertEquals(schedule.learningRate(cycle), 0.5);
    assertAlmostEquals(schedule.learningRate(cycle + 125), 0.25, 1e-15);
    assertAlmostEquals(schedule.learningRate(cycle + 249), 0.25 * (1 - Math.cos(Math.PI / 250)), 1e-15);
    // ¼ of 250 is 62.5: step 62 still explores.
    assertEquals([0, 62, 63, 249].map((step) => schedule.noise(cycle + step)), [false, false, true, true]);
  }
});

Deno.test("cyclical() gives the remainder of the samples to the last cycles", () => {
  const perCycle = (samples: number, cycles: number) => {
    const counts = new Array<number>(cycles).fill(0);
    for (const step of collectedSteps(cyclical({ learningRate: 1, steps: 100 * cycles, cycles, samples }))) {
      counts[Math.floor(step / 100)]++;
    }
    return counts;
  };
  assertEquals(perCycle(12, 4), [3, 3, 3, 3]);
  assertEquals(perCycle(10, 4), [2, 2, 3, 3]);
  assertEquals(perCycle(3, 4), [0, 1, 1, 1]);
  assertEquals(perCycle(1, 5), [0, 0, 0, 0, 1]);
  assertEquals(perCycle(0, 2), [0, 0]);
});

Deno.test("cyclical() ends every cycle that keeps samples with one, the cut last cycle too", () => {
  // L = ⌈1001/4⌉ = 251: cycles of 251, 251, 251 and 248 steps.
  const schedule = cyclical({ learningRate: 1, steps: 1001, samples: 8 });
  const samples = done(schedule);
  assertEquals(samples.length, 8);
  for (const end of [251, 502, 753, 1001]) assert(samples.includes(end), `${end}`);
  assertEquals(schedule.learningRate(753), 1);
});

Deno.test("cyclical() always keeps as many samples as asked for, each after a step with noise", () => {
  for (const steps of [24, 31, 60, 101]) {
    for (const cycles of [1, 2, 3]) {
      for (const exploration of [0, 0.1, 0.25, 0.3]) {
        for (const samples of [1, 2, 3, 4, 5]) {
          const schedule = cyclical({ learningRate: 1, steps, cycles, samples, exploration });
          const kept = collectedSteps(schedule);
          assertEquals(kept.length, samples, `${steps} ${cycles} ${exploration} ${samples}`);
          assert(kept.every(schedule.noise), `${steps} ${cycles} ${exploration} ${samples}: ${kept}`);
          assertEquals(kept.at(-1), steps - 1);
        }
      }
    }
  }
});

Deno.test("cyclical() with whole products explores exactly β of a cycle", () => {
  // 0.07 * 100 is 7.000000000000001: by rounding, 93 samples still fill the other 93 steps.
  assert(0.07 * 100 > 7);
  const schedule = cyclical({ learningRate: 1, steps: 100, cycles: 1, samples: 93, exploration: 0.07 });
  assertEquals(done(schedule), Array.from({ length: 93 }, (_, i) => i + 8));
  assertEquals([6, 7].map(schedule.noise), [false, true]);
  // 2.7 + 3 * 8.1 is 26.999999999999996.
  assertEquals(done(cyclical({ learningRate: 1, steps: 27, cycles: 1, samples: 3, exploration: 0.1 })), [10, 18, 27]);
});

Deno.test("constantSwag() takes a snapshot after `start` steps and every `interval` further ones", () => {
  assertEquals(done(constantSwag({ learningRate: 0.02, steps: 20, start: 5, interval: 4 })), [5, 9, 13, 17]);
  assertEquals(done(constantSwag({ learningRate: 0.02, steps: 3 })), [1, 2, 3]);
  const schedule = constantSwag({ learningRate: 0.02, steps: 20 });
  assertEquals([schedule.learningRate(0), schedule.learningRate(19), schedule.noise(10)], [0.02, 0.02, false]);
});

Deno.test("cyclicalSwag() takes a snapshot at each cycle's end", () => {
  const schedule = cyclicalSwag({ learningRate: 0.02, steps: 50 });
  assertEquals(done(schedule), [10, 20, 30, 40, 50]);
  assertEquals([0, 10, 40].map(schedule.learningRate), [0.02, 0.02, 0.02]);
  assertAlmostEquals(schedule.learningRate(15), 0.01, 1e-15);
  assertEquals(schedule.noise(25), false);
  assertEquals(done(cyclicalSwag({ learningRate: 0.02, steps: 11, cycles: 3 })), [4, 8, 11]);
});

Deno.test("constantSwag() anneals along half a cosine, then keeps its rate", () => {
  const schedule = constantSwag({ learningRate: 0.02, steps: 20, annealing: { from: 0.1, steps: 10 } });
  assertEquals([schedule.learningRate(0), schedule.learningRate(10), schedule.learningRate(19)], [0.1, 0.02, 0.02]);
  assertAlmostEquals(schedule.learningRate(5), 0.06, 1e-15);
  assertEquals(constantSwag({ learningRate: 0.02, steps: 3, annealing: { from: 1, steps: 0 } }).learningRate(0), 0.02);
});

Deno.test("cyclicalSwag() with several snapshots a cycle keeps them where cyclical() does, the remainder in the last", () => {
  const options = { learningRate: 0.02, steps: 1000, cycles: 4 };
  assertEquals(done(cyclicalSwag({ ...options, samples: 12 })), done(cyclical({ ...options, samples: 12 })));
  assertEquals(done(cyclicalSwag({ ...options, samples: 6 })), done(cyclical({ ...options, samples: 6 })));
  assertEquals(done(cyclicalSwag({ ...options, samples: 2 })), [750, 1000]);
});

Deno.test("cyclicalSwag() begins its cycles at the start, with the length of what is left", () => {
  const schedule = cyclicalSwag({ learningRate: 0.02, steps: 50, cycles: 4, start: 11 });
  assertEquals(done(schedule), [20, 30, 40, 50]);
  assertEquals([0, 5, 9, 10, 20].map(schedule.learningRate), [0.02, 0.02, 0.02, 0.02, 0.02]);
  assertAlmostEquals(schedule.learningRate(15), 0.01, 1e-15);
  assertThrows(
    () => cyclicalSwag({ learningRate: 0.02, steps: 50, start: 51 }),
    RangeError,
    "a start up to 50 is required",
  );
});

Deno.test("D17: compat begins its phase at the epochs, with the length of the whole run", () => {
  // One epoch of 40 steps: L = 40 / 4 = 10 though only 30 steps are left, and the phase begins at 3 epochs' 3.
  const compat = { epochs: 3, stepsPerEpoch: 100 };
  const schedule = cyclicalSwag({ learningRate: 0.02, steps: 40, cycles: 4, start: 11, compat });
  assertEquals([0, 9].map(schedule.learningRate), [0.02, 0.02]);
  assertAlmostEquals(schedule.learningRate(10), 0.01 * (Math.cos(0.3 * Math.PI) + 1), 1e-15);
  // Phases 3..9 are steps 10..16: the first snapshot comes after 17 steps.
  assertEquals(done(schedule), [17, 27, 37]);
  const correct = cyclicalSwag({ learningRate: 0.02, steps: 40, cycles: 3, start: 11 });
  assertEquals([correct.learningRate(10), ...done(correct)], [0.02, 20, 30, 40]);
});

Deno.test("D17: compat steps once more after each epoch, and may pass a snapshot by", () => {
  // Phases of steps 0..11: 3 4 5 6, one skipped, 8 9 0 1, one skipped, 3 4 5 6.
  const compat = { epochs: 3, stepsPerEpoch: 4 };
  const schedule = cyclicalSwag({ learningRate: 0.02, steps: 20, cycles: 2, compat });
  const phases = [3, 4, 5, 6, 8, 9, 0, 1, 3, 4, 5, 6];
  phases.forEach((phase, step) => {
    assertAlmostEquals(schedule.learningRate(step), 0.01 * (Math.cos(Math.PI * phase / 10) + 1), 1e-15);
  });
  assertEquals(done(schedule), [6, 14]);
  const passed = cyclicalSwag({ learningRate: 0.02, steps: 20, cycles: 2, compat: { epochs: 6, stepsPerEpoch: 3 } });
  // Phases 6 7 8, then 0: the end of that cycle, phase 9, is passed by.
  assertEquals(done(passed)[0], 11);
});

Deno.test("D15: compat drops the remainder of snapshots over cycles; the default does not", () => {
  const options = { learningRate: 0.02, steps: 40, cycles: 4, samples: 6 };
  const compat = { epochs: 40, stepsPerEpoch: 1000 };
  assertEquals(done(cyclicalSwag(options)).length, 6);
  assertEquals(done(cyclicalSwag({ ...options, compat })), [10, 20, 30, 40]);
});

Deno.test("schedules refuse impossible options", () => {
  const base = { learningRate: 0.1, steps: 100 };
  assertThrows(() => constant({ ...base, learningRate: NaN }), RangeError, "learning rate NaN");
  assertThrows(() => constant({ ...base, learningRate: -1 }), RangeError, "learning rate -1");
  assertThrows(() => constant({ ...base, steps: 0 }), RangeError, "steps = 0");
  assertThrows(() => cosine({ ...base, burnIn: 1 }), RangeError, "burn-in = 1");
  assertThrows(() => cosine({ ...base, samples: 51 }), RangeError, "at most 50 are possible");
  assertThrows(() => cyclical({ ...base, cycles: 0 }), RangeError, "cycles = 0");
  assertThrows(() => cyclical({ ...base, samples: 1.5 }), RangeError, "samples = 1.5");
  assertThrows(() => cyclical({ ...base, exploration: -0.1 }), RangeError, "exploration = -0.1");
  assertThrows(() => cyclical({ ...base, steps: 20, samples: 40 }), RangeError, "at most 3 are possible");
  assertThrows(() => cyclical({ ...base, steps: 5, cycles: 4 }), RangeError, "8 steps or 3 cycles would do");
  assertThrows(() => constantSwag({ ...base, start: 101 }), RangeError, "after 101 of 100 steps");
  assertThrows(() => constantSwag({ ...base, interval: 0 }), RangeError, "interval = 0");
});

Deno.test("schedules refuse steps outside the run", () => {
  const schedule = cyclical({ learningRate: 0.1, steps: 100 });
  for (const step of [-1, 100, 0.5, NaN]) {
    assertThrows(() => schedule.learningRate(step), RangeError, `step ${step} of a run of 100 steps`);
    assertThrows(() => schedule.collect(step), RangeError);
    assertThrows(() => schedule.noise(step), RangeError);
  }
});

Deno.test("mostInCycles() is the largest number of samples that cyclical() takes", () => {
  for (const exploration of [0, 0.1, 0.25, 0.5]) {
    for (let steps = 1; steps <= 24; steps++) {
      for (let cycles = 1; cycles <= steps + 1; cycles++) {
        const keep = (samples: number) => cyclical({ learningRate: 1, steps, cycles, samples, exploration });
        const most = mostInCycles(steps, cycles, exploration), at = `${steps} steps, ${cycles} cycles, ${exploration}`;
        if (most > 0) assertEquals(collectedSteps(keep(most)).length, most, at);
        assertThrows(() => keep(most + 1), RangeError, "Cannot", at);
      }
    }
  }
});
