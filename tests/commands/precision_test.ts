import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { readPrior } from "../../lib/priors/files.ts";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { makeTask, resultOf, runJson, taskFlags } from "./task.ts";

const MIXED = ["--precision", "mixed"];

Deno.test("infer --precision mixed says so, reports its loss scale, and evaluate computes as the run did", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), run = `${folder}/run`;
    const infer = ["infer", ...taskFlags(task), "--prior-path", task.prior, "--max-steps", "4", "--n-samples", "2"];
    const { nll } = await runJson([...infer, ...MIXED, "--out", run]);
    const { flags } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
    assertEquals(flags.precision, "mixed");
    const lines = (await Deno.readTextFile(`${run}/metrics.jsonl`)).trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(lines.map(({ lossScale, skippedSteps }) => [lossScale, skippedSteps]), Array(4).fill([65536, 0]));

    const evaluate = ["evaluate", "--run", run, "--val-dataset", "cifar10", "--data-dir", task.data];
    assertEquals((await runJson(evaluate)).nll, nll);
    const exact = (await runJson([...evaluate, "--precision", "f32"])).nll;
    assertNotEquals(exact, nll);
    assertAlmostEquals(exact, nll, 1e-2);

    await runJson([...infer, "--out", `${folder}/f32`]);
    const plain = (await Deno.readTextFile(`${folder}/f32/metrics.jsonl`)).trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(Object.keys(plain[0]), ["chain", "step", "loss", "accuracy"]);
    assertAlmostEquals(plain[0].loss, lines[0].loss, 1e-2);
    assertNotEquals(plain[0].loss, lines[0].loss);
  });
});

Deno.test("prior --precision mixed learns a prior near that of f32", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const learn = async (name: string, flags: readonly string[]) => {
      const out = `${folder}/${name}.safetensors`;
      const length = ["--max-steps", "6", "--n-samples", "3", "--swa-lrs", "1e-3"];
      await runJson([
        "prior",
        ...taskFlags(task),
        "--weights-path",
        task.checkpoint,
        ...length,
        ...flags,
        "--out",
        out,
      ]);
      return readPrior(await Deno.readFile(out)).swag.mean;
    };
    const exact = await learn("f32", []), mixed = await learn("mixed", MIXED);
    const difference = Math.hypot(...mixed.map((value, i) => value - exact[i])), norm = Math.hypot(...exact);
    assert(difference > 0 && difference < 1e-3 * norm, `the means differ by ${difference / norm}`);
  });
});

Deno.test("--dry-run --precision mixed plans less memory for activations", async () => {
  await withFolder(async (folder) => {
    const { data } = makeTask(folder);
    const flags = ["--encoder", "resnet20", "--train-dataset", "cifar10", "--data-dir", data, "--batch-size", "16"];
    const plan = ["infer", ...flags, "--prior-type", "none", "--out", `${folder}/run`, "--dry-run", "--json"];
    const activationsOf = async (args: readonly string[]) =>
      resultOf(await runCli([...plan, ...args], { permissions: "--allow-read" })).activations;
    const exact = await activationsOf([]), mixed = await activationsOf(MIXED);
    assert(mixed < 0.6 * exact, `${mixed} of ${exact} bytes`);
    const refused = await runCli([...plan, "--precision", "f16"], { permissions: "--allow-read" });
    assertRefused(refused, 2, /--precision/);
  });
});
