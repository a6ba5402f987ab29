import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { readSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { exists, killAt, modified, pause } from "./kill.ts";
import { cifarRecords, makeTask, runJson, sampleHashes, stepsIn, type Task, taskFlags } from "./task.ts";

const PERMISSIONS = { permissions: "--allow-read --allow-write" };
const KILLS_PER_RUN = 4;

function inferArgs(task: Task): string[] {
  const length = ["--max-steps", "15", "--n-samples", "2", "--chains", "2", "--checkpoint-steps", "3"];
  return ["infer", ...taskFlags(task), "--prior-path", task.prior, ...length];
}

/** Kills runs at random moments, resumes them, and compares them with one that was never stopped. */
async function killAndResume(most: number, flags: readonly string[]): Promise<void> {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const start = performance.now();
    const whole = await runJson([...inferArgs(task), ...flags, "--out", `${folder}/whole`]);
    const duration = performance.now() - start;
    const metricsOf = (run: string) => Deno.readTextFileSync(`${run}/metrics.jsonl`);
    const wanted = { samples: sampleHashes(`${folder}/whole`), metrics: metricsOf(`${folder}/whole`) };
    const steps = stepsIn(`${folder}/whole`);
    assertEquals([wanted.samples.length, new Set(steps).size, steps.length], [4, 30, 30]);

    let kills = 0, inTraining = 0;
    const moments: number[] = [];
    for (let index = 0; kills < most; index++) {
      const run = `${folder}/run${index}`;
      const started = () => exists(`${run}/config.json`);
      for (let here = 0; here < KILLS_PER_RUN && kills < most;) {
        const args = await started()
          ? ["infer", "--resume", "--out", run]
          : [...inferArgs(task), ...flags, "--out", run];
        const before = await modified(`${run}/checkpoint/state.safetensors`);
        const { landed, after } = await killAt([...args, "--quiet"], async (ended) => {
          // Every other kill falls anywhere; the rest soon after a checkpoint, that is while the chain moves.
          if (here % 2 === 0) return await pause(Math.random() * 0.7 * duration);
          while (!ended() && await modified(`${run}/checkpoint/state.safetensors`) === before) await pause(1);
          await pause(Math.random() * 20);
        });
        if (!landed) break;
        moments.push(Math.round(after));
        kills++;
        here++;
        if (await modified(`${run}/checkpoint/state.safetensors`) !== before) inTraining++;
      }
      const args = await started() ? ["infer", "--resume", "--out", run] : [...inferArgs(task), ...flags, "--out", run];
      const result = await runJson(args);
      const seen = `killed after ${moments} ms`;
      assertEquals(sampleHashes(run), wanted.samples, seen);
      assertEquals(metricsOf(run), wanted.metrics, seen);
      assertEquals([result.accuracy, result.nll], [whole.accuracy, whole.nll], seen);
    }
    assertEquals(kills, most);
    assert(inTraining >= most / 4, `only ${inTraining} of ${most} kills fell behind a checkpoint of their process`);
  });
}

for (const [precision, most] of [["f32", 20], ["mixed", 8]] as const) {
  Deno.test({
    name:
      `infer --resume ends with bit-identical samples after ${most} kills at random moments, precision ${precision}`,
    ignore: Deno.build.os === "windows",
    fn: () => killAndResume(most, ["--precision", precision]),
  });
}

Deno.test("infer --resume refuses other images, another prior and a damaged checkpoint, and loses nothing", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), run = `${folder}/run`;
    const length = ["--max-steps", "4", "--n-samples", "2", "--checkpoint-steps", "3"];
    await runJson(["infer", ...taskFlags(task), "--prior-path", task.prior, ...length, "--out", run]);
    const samples = sampleHashes(run), steps = stepsIn(run);
    const checkpoint = `${run}/checkpoint/state.safetensors`;
    const refused = async (message: RegExp) => {
      const kept = await Deno.readFile(checkpoint);
      assertRefused(await runCli(["infer", "--resume", "--out", run, "--quiet"], PERMISSIONS), 1, message);
      assertEquals(await Deno.readFile(checkpoint), kept);
      assertEquals([sampleHashes(run), stepsIn(run)], [samples, steps]);
    };

    for (const [file, name] of [["data_batch_1.bin", "training"], ["test_batch.bin", "validation"]]) {
      const path = `${task.data}/${file}`;
      const kept = await Deno.readFile(path);
      await Deno.writeFile(path, cifarRecords(40, 9));
      await refused(new RegExp(`^swagpu infer: Cannot resume .*: the ${name} images differ`));
      await Deno.writeFile(path, kept);
    }

    const prior = await Deno.readFile(task.prior);
    const { tensors } = readSafetensors(prior);
    const rows = tensors.get("cov_factor")!.data as Float32Array;
    assertNotEquals(rows[0], 0);
    const changed = prior.slice();
    changed[rows.byteOffset - prior.byteOffset + 1] ^= 1;
    await Deno.writeFile(task.prior, changed);
    await refused(/^swagpu infer: Cannot (resume .*: the prior differ|read .*prior\.safetensors)/);
    await Deno.writeFile(task.prior, prior);

    const whole = await Deno.readFile(checkpoint);
    const flipped = whole.slice();
    flipped[whole.length - 5] ^= 0x10;
    for (
      const [bytes, message] of [
        [flipped, /^swagpu infer: Cannot read .*state\.safetensors as a run's checkpoint: its SHA-256 /],
        [whole.subarray(0, whole.length - 40), /^swagpu infer: Cannot read .*state\.safetensors as safetensors: /],
        [whole.subarray(0, 100), /^swagpu infer: Cannot read .*state\.safetensors as safetensors: /],
      ] as const
    ) {
      await Deno.writeFile(checkpoint, bytes);
      await refused(message);
    }
    await Deno.remove(checkpoint);
    // What kills in the middle of writing leave.
    const left = ["/checkpoint/state.safetensors", "/samples/gone.safetensors", "/config.json", "/predictions/val.npz"]
      .map((name) => `${run}${name}.0123abcd.partial`);
    for (const path of left) await Deno.writeFile(path, whole.subarray(0, 100));
    await runJson(["infer", "--resume", "--out", run]);
    assertEquals([sampleHashes(run), stepsIn(run)], [samples, steps]);
    for (const path of left) assertEquals([path, await exists(path)], [path, false]);
  });
});

Deno.test("infer --resume and evaluate --run compute with the kernels that the run was started with", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), run = `${folder}/run`;
    const length = ["--max-steps", "2", "--n-samples", "1", "--kernel-schedule", "gpu"];
    const { nll } = await runJson(["infer", ...taskFlags(task), "--prior-path", task.prior, ...length, "--out", run]);
    const { flags } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
    assertEquals(flags.kernelSchedule, "gpu");
    assertEquals((await runJson(["infer", "--resume", "--out", run])).nll, nll);
    const evaluate = ["evaluate", "--run", run, "--val-dataset", "cifar10", "--data-dir", task.data];
    assertEquals((await runJson(evaluate)).nll, nll);
    const other = (await runJson([...evaluate, "--kernel-schedule", "cpu"])).nll;
    assertNotEquals(other, nll);
    assertAlmostEquals(other, nll, 1e-4);
  });
});
