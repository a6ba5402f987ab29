/** `evaluate --run` finds the run's own images, and measures on no set of other classes. */

import { assertEquals } from "@std/assert";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { makeTask, runJson, taskFlags } from "./task.ts";

const READ = { permissions: "--allow-read" };
const STEPS = ["--max-steps", "2", "--n-samples", "1", "--prior-type", "none"];

Deno.test("evaluate --run measures on the run's own validation images, of which its flags say where they lie", () =>
  withFolder(async (folder) => {
    const task = makeTask(folder);
    for (const [name, n, ...more] of [["whole", 23], ["split", 12, "--val-split", "0.3"]] as const) {
      const run = `${folder}/${name}`;
      const began = await runJson(["infer", ...taskFlags(task), ...STEPS, ...more, "--seed", "4", "--out", run]);
      const evaluated = await runJson(["evaluate", "--run", run]);
      assertEquals([began.n, evaluated.n, evaluated.nll], [n, n, began.nll], name);
    }
    // Where the images were moved, one flag says where to.
    const moved = `${folder}/moved`;
    await Deno.rename(task.data, moved);
    assertRefused(
      await runCli(["evaluate", "--run", `${folder}/split`], READ),
      1,
      /Cannot load CIFAR from .*cifar: there is no such folder/,
    );
    assertEquals((await runJson(["evaluate", "--run", `${folder}/split`, "--data-dir", moved])).n, 12);
    // A set that is named lies where the command line says, not where the run's own does.
    const named = ["evaluate", "--run", `${folder}/whole`, "--val-dataset", "cifar10"];
    assertRefused(await runCli(named, READ), 2, /Cannot load the data set cifar10: its folder is required/);
  }));

Deno.test("evaluate --run refuses a set of as many classes, but others", () =>
  withFolder(async (folder) => {
    const task = makeTask(folder), run = `${folder}/run`;
    await runJson(["infer", ...taskFlags(task), ...STEPS, "--out", run]);
    const config = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
    config.classNames = config.classNames.map((_: string, index: number) => `shape${index}`);
    await Deno.writeTextFile(`${run}/config.json`, JSON.stringify(config));
    assertRefused(
      await runCli(["evaluate", "--run", run, "--val-dataset", "cifar10", "--data-dir", task.data], READ),
      2,
      /^swagpu evaluate: Cannot measure on .* what the run .*run taught: it has 10 classes \(airplane, .*\); the same 10 classes \(shape0, /,
    );
    // A run that was begun before classes were recorded.
    delete config.classNames;
    await Deno.writeTextFile(`${run}/config.json`, JSON.stringify(config));
    assertEquals((await runJson(["evaluate", "--run", run])).n, 23);
  }));
