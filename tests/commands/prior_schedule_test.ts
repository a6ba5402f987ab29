import { assert, assertEquals } from "@std/assert";
import { parseFlags } from "../../tasks/cli/flags.ts";
import { commandHelp } from "../../tasks/cli/help.ts";
import { command } from "../../tasks/commands/prior.ts";
import { scheduleOf } from "../../tasks/commands/prior_schedule.ts";

const STEPS_PER_EPOCH = 5;

const schedule = (...flags: string[]) =>
  scheduleOf(parseFlags(command, ["--out", "prior.safetensors", ...flags]), STEPS_PER_EPOCH);

/** The steps after which snapshots are taken. */
function collected({ steps, collect }: ReturnType<typeof schedule>): number[] {
  return Array.from({ length: steps }, (_, step) => step).filter(collect);
}

Deno.test("prior --max-steps bounds the steps with snapshots, not those of --pretrain-epochs, as its help says", () => {
  for (const scheduler of ["cyclic", "constant"]) {
    const bounded = ["--swag-scheduler", scheduler, "--epochs", "10", "--max-steps", "12"];
    const alone = schedule(...bounded), behind = schedule(...bounded, "--pretrain-epochs", "2");
    assertEquals([alone.steps, behind.steps], [12, 2 * STEPS_PER_EPOCH + 12]);
    assert(collected(alone).length > 0);
    assertEquals(collected(behind), collected(alone).map((step) => step + 2 * STEPS_PER_EPOCH));
  }
  assertEquals(schedule("--epochs", "2", "--max-steps", "12").steps, 2 * STEPS_PER_EPOCH);
  const help = commandHelp(command).replace(/\s+/g, " ");
  assert(
    help.includes("at most that many steps of --epochs; those of --pretrain-epochs come before"),
  );
});
