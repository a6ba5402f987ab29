import { assertEquals, assertNotEquals } from "@std/assert";
import { layoutModel } from "../../lib/models/device_model.ts";
import { priorResumePoint } from "../../tasks/commands/prior_checkpoint.ts";
import { assertRefused, namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import { exists, killAt, killPrior, pause } from "./kill.ts";
import { cifarRecords, makeTask, runJson, type Task, taskFlags, TINY } from "./task.ts";

const PERMISSIONS = { permissions: "--allow-read --allow-write" };
const KILLS = 6;

/** Rank 3 and more snapshots than rows, so that the ring of deviations goes round between checkpoints. */
function priorArgs(task: Task, out: string): string[] {
  const swag = ["--swag-scheduler", "constant", "--interval-steps", "2", "--max-rank", "3", "--swa-lrs", "0.01"];
  const length = ["--max-steps", "20", "--epochs", "10", "--checkpoint-steps", "3"];
  return ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, ...swag, ...length, "--out", out];
}

Deno.test({
  name: "prior --resume ends with a bit-identical prior after kills at random moments",
  ignore: Deno.build.os === "windows",
  async fn() {
    await withFolder(async (folder) => {
      const task = makeTask(folder), whole = `${folder}/whole.safetensors`, out = `${folder}/learned.safetensors`;
      const start = performance.now();
      const { loss, snapshots } = await runJson(priorArgs(task, whole));
      const duration = performance.now() - start;
      assertEquals([snapshots, await exists(`${whole}.checkpoint`)], [10, false]);

      const moment = (kill: number) => kill % 3 === 2 ? pause(Math.random() * 0.7 * duration) : undefined;
      const next = await killPrior({ begin: priorArgs(task, out), out, whole, kills: KILLS, moment });
      const last = await runJson(next);
      assertEquals(await Deno.readFile(out), await Deno.readFile(whole));
      assertEquals([last.loss, last.snapshots, await exists(`${out}.checkpoint`)], [loss, snapshots, false]);
      assertEquals(await runJson(["prior", "--resume", "--out", out]), { out, finished: true });
      assertEquals(await Deno.readFile(out), await Deno.readFile(whole));
      assertEquals(namesIn(folder).filter((name) => name.endsWith(".partial")), []);
    });
  },
});

Deno.test("prior goes on with nothing but its own checkpoint, and never overwrites one unasked", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/learned.safetensors`, checkpoint = `${out}.checkpoint`;
    assertRefused(
      await runCli(["prior", "--resume", "--out", out, "--quiet"], PERMISSIONS),
      1,
      /^swagpu prior: Cannot resume .*learned\.safetensors: there is no .*\.checkpoint/,
    );
    while (!await exists(checkpoint)) {
      await Deno.remove(out).catch(() => {});
      await killAt([...priorArgs(task, out), "--quiet"], async (ended) => {
        while (!ended() && !await exists(checkpoint)) await pause(1);
      });
    }
    const kept = await Deno.readFile(checkpoint);
    const refused = async (args: string[], message: RegExp) => {
      const before = await Deno.readFile(checkpoint);
      assertRefused(await runCli([...args, "--quiet"], PERMISSIONS), 1, message);
      assertEquals(await Deno.readFile(checkpoint), before);
      assertEquals(await exists(out), false);
    };
    const resume = ["prior", "--resume", "--out", out];
    await refused(priorArgs(task, out), /^swagpu prior: Cannot write .*: .*\.checkpoint holds a prior that was not/);

    for (
      const [path, name] of [[`${task.data}/data_batch_1.bin`, "training images"], [task.checkpoint, "first weights"]]
    ) {
      const bytes = await Deno.readFile(path);
      const other = name === "training images" ? cifarRecords(40, 9) : bytes.slice();
      if (name === "first weights") other[other.length - 3] ^= 1;
      assertNotEquals(other, bytes);
      await Deno.writeFile(path, other);
      await refused(resume, new RegExp(`^swagpu prior: Cannot resume .*: the ${name} differ`));
      await Deno.writeFile(path, bytes);
    }

    const flipped = kept.slice();
    flipped[kept.length - 5] ^= 0x10;
    await Deno.writeFile(checkpoint, flipped);
    await refused(resume, /^swagpu prior: Cannot read .*\.checkpoint as a prior's checkpoint: its SHA-256 /);
    await Deno.writeFile(checkpoint, kept.subarray(0, kept.length / 2));
    await refused(resume, /^swagpu prior: Cannot read .*\.checkpoint as safetensors: /);

    await runJson([...priorArgs(task, out), "--force"]);
    assertEquals([await exists(out), await exists(checkpoint)], [true, false]);
  });
});

Deno.test("prior goes on from a checkpoint of an earlier version, which kept no measures", () => {
  const of = (facts: Record<string, string>) => {
    const file = { tensors: new Map(), facts };
    return priorResumePoint({ path: "", file, flags: {}, inputs: {}, tuning: {} }, layoutModel(TINY));
  };
  assertEquals(of({ chain: "1" }), { chain: 1, evaluations: [] });
  const measured = { chain: 0, steps: 5, knn: 0.1 + 0.2, linear: 1 / 3 };
  assertEquals(of({ chain: "1", evaluations: JSON.stringify([measured]) }), { chain: 1, evaluations: [measured] });
});
