/** Cycles and samples of a run: defaults give way where it is short, and what is asked for does not. */

import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import { collectedSteps } from "../../lib/inference/schedules.ts";
import { parseFlags } from "../../tasks/cli/flags.ts";
import { command } from "../../tasks/commands/infer.ts";
import { scheduleOf } from "../../tasks/commands/infer_schedule.ts";

const flagsOf = (args: string) => parseFlags(command, ["--out", "run", ...args.split(" ").filter(Boolean)]);

/** Steps done at each sample, of a run of 5 steps an epoch. */
const kept = (args: string) => collectedSteps(scheduleOf(flagsOf(args), 5)).map((step) => step + 1);

Deno.test("a short run of infer keeps fewer samples, of fewer cycles, than the defaults", () => {
  assertEquals(kept("--epochs 1"), [3, 4, 5]);
  assertEquals(kept("--epochs 1 --schedule constant"), [3, 4, 5]);
  assertEquals(kept("--epochs 1 --sampler sgd"), [5]);
  assertEquals(kept("--max-steps 1"), [1]);
  // Of ten steps the last of four cycles would have one, which begins without noise.
  assertEquals(kept("--epochs 2 --schedule cyclical"), [4, 8, 10]);
  assertEquals(kept("--epochs 20").length, 12);
});

Deno.test("infer refuses --n-samples and --n-cycles that its steps do not hold, and says which they would", () => {
  for (
    const [args, message] of [
      [
        "--epochs 1 --n-samples 100",
        "Cannot keep --n-samples 100 in the second half of 5 steps: --n-samples 3 at most",
      ],
      ["--epochs 1 --n-samples 12", "Cannot keep --n-samples 12 in the second half of 5 steps"],
      ["--epochs 2 --schedule cyclical --n-cycles 40", "Cannot use --n-cycles 40 for 10 steps"],
      ["--epochs 2 --schedule cyclical --n-cycles 4", "Cannot use --n-cycles 4 for 10 steps"],
      [
        "--epochs 2 --schedule cyclical --n-cycles 2 --n-samples 9",
        "Cannot keep --n-samples 9 in 2 cycles of 10 steps",
      ],
      ["--max-steps 1 --schedule cyclical", "Cannot use --schedule cyclical for 1 step: "],
    ]
  ) {
    assertThrows(() => kept(args), UsageError, message);
  }
  // What the messages name is taken.
  assertEquals(kept("--epochs 1 --n-samples 3"), [3, 4, 5]);
  for (const [args] of [["--n-cycles 40"], ["--n-cycles 2 --n-samples 9"]]) {
    const all = `--epochs 2 --schedule cyclical ${args}`;
    const named = [
      ...assertThrows(() => kept(all), UsageError).message.matchAll(/(--n-\w+ \d+)(?= at most| or more)/g),
    ];
    assertEquals(named.length, 1, all);
    kept(`${all} ${named[0][1]}`);
  }
});

Deno.test("a run that goes on has the schedule that it began with", () => {
  for (const args of ["--epochs 2 --schedule cyclical --n-samples 3", "--epochs 1", "--epochs 3 --n-samples 7"]) {
    // A copy is not known to have been given.
    assertEquals(collectedSteps(scheduleOf({ ...flagsOf(args) }, 5)).map((step) => step + 1), kept(args));
  }
  // An earlier version took more samples than there are, and kept as many as it could.
  assertEquals(collectedSteps(scheduleOf({ ...flagsOf("--epochs 1 --n-samples 100") }, 5)).length, 3);
});
