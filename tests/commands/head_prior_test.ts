/** A prior of the head, from `prior --head-laplace` to `infer --head-prior learned`. */

import { assert, assertEquals } from "@std/assert";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { readPrior } from "../../lib/priors/files.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { killAt, modified, pause } from "./kill.ts";
import { makeTask, manifestOf, runJson, sampleHashes, type Task, taskFlags } from "./task.ts";

const PERMISSIONS = { permissions: "--allow-read --allow-write" };
const CONSTANT = ["--swag-scheduler", "constant", "--swa-lrs", "0.01", "--max-steps", "4", "--max-rank", "2"];

function priorArgs(task: Task, out: string, ...flags: string[]): string[] {
  return ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, ...flags, "--out", out];
}

/** Learns a prior of the head as well; its path and what the command said. */
async function learn(folder: string, task: Task, ...flags: string[]) {
  const out = `${folder}/${flags.join("").replaceAll("-", "")}.safetensors`;
  const result = await runJson(priorArgs(task, out, ...flags));
  return { out, result, file: readPrior(Deno.readFileSync(out)) };
}

/** The last sample of a run. */
async function lastSample(run: string): Promise<StateDict> {
  const { file } = manifestOf(run).at(-1);
  return await readCheckpoint(Deno.readFileSync(`${run}/${file}`), "sample");
}

/** Weight, then bias. */
function headOf(weights: StateDict): Float32Array {
  return Float32Array.from(
    ["linear.weight", "linear.bias"].flatMap((name) => [...weights.get(name)!.data as Float32Array]),
  );
}

function inferArgs(task: Task, prior: string, run: string, ...flags: string[]): string[] {
  const sampling = [
    "--epochs",
    "1000",
    "--max-steps",
    "6",
    "--n-samples",
    "2",
    "--schedule",
    "constant",
    "--lr",
    "1e-3",
  ];
  return [
    "infer",
    ...taskFlags(task),
    "--prior-path",
    prior,
    "--head-prior",
    "learned",
    ...sampling,
    ...flags,
    "--out",
    run,
  ];
}

Deno.test("prior --method last-layer is the checkpoint with a posterior of its head, and infer goes on from it", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), weights = await readCheckpoint(Deno.readFileSync(task.checkpoint), "init");
    for (const curvature of ["diagonal", "kronecker"]) {
      const { out, result, file } = await learn(folder, task, "--method", "last-layer", "--head-laplace", curvature);
      assertEquals([result.rank, result.steps, result.head.laplace], [0, 0, curvature]);
      assertEquals(file.swag.kind, "point");
      assert(file.swag.variance.every((value) => value === 0));
      const { mean, variance, axes, classNames } = file.head!;
      assertEquals(mean, headOf(weights));
      assertEquals([axes !== undefined, classNames.length], [curvature === "kronecker", 10]);
      // The images have told something of each weight: none is as uncertain as before.
      assert(variance.every((value) => value > 0 && value <= Math.fround(1 / result.head.precision)));
      // A prior of a millionth of a standard deviation holds the network where it is, head included.
      const run = `${folder}/run-${curvature}`;
      const still = ["--head-scale", "1e-12", "--prior-eps", "1e-12", "--sampler", "sgd", "--n-samples", "1"];
      await runJson(inferArgs(task, out, run, ...still));
      const sample = await lastSample(run);
      for (const [name, { data }] of weights) {
        if (/running|batches/.test(name)) continue;
        const start = data as Float32Array, end = sample.get(name)!.data as Float32Array;
        assert(end.every((value, i) => Math.abs(value - start[i]) < 1e-4), `${name} has moved`);
      }
    }
  });
});

Deno.test("prior --head-laplace goes with every method; what is learned of the backbone is the same without it", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    for (const method of [["--method", "swag", ...CONSTANT], ["--method", "laplace"], ["--method", "fisher"]]) {
      const without = await learn(folder, task, ...method);
      const withHead = await learn(folder, task, ...method, "--head-laplace", "kronecker", "--head-precision", "2");
      assertEquals(withHead.file.swag, without.file.swag);
      assertEquals([without.file.head, withHead.result.head.precision], [undefined, 2]);
    }
  });
});

Deno.test("infer --head-prior learned resumes bit for bit after it was killed", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const { out } = await learn(folder, task, "--method", "last-layer", "--head-laplace", "kronecker");
    const long = ["--max-steps", "60", "--checkpoint-steps", "3", "--quiet"];
    const whole = `${folder}/whole`, run = `${folder}/killed`;
    await runJson(inferArgs(task, out, whole, ...long));
    const checkpoint = `${run}/checkpoint/state.safetensors`;
    const { landed } = await killAt(inferArgs(task, out, run, ...long), async (ended) => {
      while (!ended() && await modified(checkpoint) === 0) await pause(1);
      await pause(20);
    });
    assert(landed, "the run ended before it was killed");
    await runJson(["infer", "--resume", "--out", run]);
    assertEquals(sampleHashes(run), sampleHashes(whole));
  });
});

Deno.test("a wider learned prior of the head lets it go further", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const { out, file } = await learn(folder, task, "--method", "last-layer", "--head-laplace", "kronecker");
    const moved = async (scale: string) => {
      const run = `${folder}/run${scale}`;
      await runJson(inferArgs(task, out, run, "--head-scale", scale, "--sampler", "sgld", "--seed", "3"));
      const head = headOf(await lastSample(run));
      return Math.hypot(...head.map((value: number, i: number) => value - file.head!.mean[i]));
    };
    const [near, far] = [await moved("1e-8"), await moved("1")];
    assert(far > 5 * near, `${near} at scale 1e-8, ${far} at 1`);
  });
});

Deno.test("what cannot have or use a head's prior is refused before the work", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const refused = async (args: readonly string[], code: 1 | 2, message: RegExp) =>
      assertRefused(await runCli([...args, "--quiet"], PERMISSIONS), code, message);
    const prior = (...flags: string[]) => priorArgs(task, `${folder}/no.safetensors`, ...flags);
    const plan = prior("--method", "last-layer", "--head-laplace", "diagonal", "--dry-run");
    const { stdout } = await runCli(plan, { permissions: "--allow-read" });
    assert(/^last-layer: the checkpoint's 18888 weights and a diagonal posterior of its head/.test(stdout), stdout);
    await refused(prior("--method", "last-layer"), 2, /give --head-laplace/);
    await refused(prior("--head-precision", "1"), 2, /without --head-laplace/);
    await refused(prior("--head-laplace", "diagonal", "--head-precision", "0"), 2, /a positive number is required/);
    await refused(prior("--head-laplace", "diagonal", "--chains", "2"), 2, /no head of its own/);
    await refused(prior("--head-laplace", "diagonal", "--objective", "simclr"), 2, /trains no head/);
    await refused(prior("--head-laplace", "diagonal", "--format", "parts"), 2, /no place for a head/);
    await refused(prior("--method", "last-layer", "--head-laplace", "diagonal", "--epochs", "2"), 2, /trains nothing/);
    const scratch = ["--pretrain-epochs", "1", "--image-size", "32", "--head-laplace", "diagonal"];
    await refused(
      ["prior", ...taskFlags(task), "--encoder", "squeezenet1_1", ...scratch, "--out", `${folder}/no.safetensors`],
      2,
      /Cannot use --head-laplace with squeezenet1_1: its last layer is/,
    );
    const run = `${folder}/run`;
    await refused(inferArgs(task, task.prior, run), 1, /has no prior of a head; learn one by prior --head-laplace/);
    await refused(
      ["infer", ...taskFlags(task), "--prior-path", task.prior, "--head-scale", "2", "--out", run],
      2,
      /--head-prior learned is required/,
    );
    const { out } = await learn(folder, task, "--method", "last-layer", "--head-laplace", "kronecker");
    await refused(inferArgs(task, out, run, "--head-variance", "2"), 2, /--head-prior normal is required/);
    await refused(inferArgs(task, out, run, "--head-scale", "0"), 2, /a positive number is required/);
    await refused(["convert", "--in", out, "--out", `${folder}/parts`], 1, /no place for the head's/);
  });
});
