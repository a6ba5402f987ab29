/** Which numbers and flags the objectives of `prior` refuse, by name, before any work. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { JPEG, writeTree } from "../data/arrays.ts";
import { makeTask, runJson, taskFlags } from "./task.ts";

const PERMISSIONS = { permissions: "--allow-read --allow-write" };
const SMALL = ["--proj-hidden-dim", "8", "--proj-output-dim", "4", "--max-steps", "4"];

/** `prior` on the tiny task, refused as a usage error. */
function refuser(folder: string) {
  const task = taskFlags(makeTask(folder)), out = ["--out", `${folder}/learned.safetensors`];
  const args = (objective: string, options: readonly string[]) => [
    ...["prior", "--objective", objective, ...task, ...SMALL, ...options, ...out],
  ];
  return {
    refused: async (objective: string, options: readonly string[], message: RegExp) =>
      assertRefused(await runCli([...args(objective, options), "--quiet"], PERMISSIONS), 2, message),
    planned: (objective: string, options: readonly string[]) => runJson([...args(objective, options), "--dry-run"]),
    learned: (objective: string, options: readonly string[]) => runJson(args(objective, options)),
  };
}

/** Objectives that divide by a temperature, and what lets the tiny task reach it. */
const TEMPERED: readonly (readonly [string, readonly string[]])[] = [
  ["simclr", []],
  ["mocov2plus", ["--queue-size", "8"]],
  ["nnclr", ["--queue-size", "8"]],
  ["ressl", ["--queue-size", "8"]],
  ["swav", ["--num-prototypes", "4", "--queue-size", "0"]],
  ["dino", ["--num-prototypes", "4"]],
  ["deepclusterv2", ["--num-prototypes", "4"]],
];

Deno.test("prior --temperature 0 is refused by every objective that divides by it", () =>
  withFolder(async (folder) => {
    const { refused, planned } = refuser(folder);
    for (const [objective, options] of TEMPERED) {
      const message = new RegExp(
        `by the objective ${objective}: temperature is 0, but a finite number above 0 is required`,
      );
      await refused(objective, [...options, "--temperature", "0"], message);
      assert((await planned(objective, [...options, "--temperature", "0.5"])).total > 0);
    }
  }));

Deno.test("prior --batch-size 1 is refused by objectives that compare the examples of a batch, and by no other", () =>
  withFolder(async (folder) => {
    const { refused, learned } = refuser(folder);
    const one = ["--batch-size", "1"], prototypes = ["--num-prototypes", "4"];
    const comparing: readonly (readonly [string, readonly string[]])[] = [
      ["simclr", []],
      ["simclr", ["--supervised-contrast"]],
      ["nnclr", ["--queue-size", "8"]],
      ["barlow_twins", []],
      ["vicreg", []],
      ["swav", [...prototypes, "--queue-size", "0"]],
      ["swav", [...prototypes, "--queue-size", "8"]],
    ];
    for (const [objective, options] of comparing) {
      const message = new RegExp(
        `by the objective ${objective} from a batch of 1: it compares .* at least 2 are required`,
      );
      await refused(objective, [...options, ...one], message);
    }
    const queued = [...prototypes, "--queue-size", "8", "--epoch-queue-starts", "0"];
    for (const [objective, options] of [["byol", []], ["swav", queued]] as const) {
      assert((await learned(objective, [...options, ...one, "--force"])).loss > 0);
    }
    assert((await learned("simclr", ["--batch-size", "2", "--force"])).loss > 0);
  }));

Deno.test("prior names the flags that an objective reads, and a warm-up that is too long", () =>
  withFolder(async (folder) => {
    const { refused, planned } = refuser(folder);
    const read = "--proj-hidden-dim, --proj-output-dim, --pred-hidden-dim, --base-tau-momentum, --final-tau-momentum";
    await refused(
      "byol",
      ["--temperature", "0.5"],
      new RegExp(`Cannot use --temperature with --objective byol: of such flags it reads ${read}\n$`),
    );
    const warmup = (epochs: string) => ["--pretrain-epochs", "2", "--warmup-epochs", epochs];
    await refused(
      "byol",
      warmup("5"),
      /Cannot use --warmup-epochs 5 with --pretrain-epochs 2: .* at most 2 are possible/,
    );
    assert((await planned("byol", warmup("2"))).total > 0);
  }));

Deno.test("prior refuses a --min-scale above --small-max-scale, and a --cache-dir that is a file", () =>
  withFolder(async (folder) => {
    const { refused, planned } = refuser(folder);
    const small = ["--num-prototypes", "4", "--queue-size", "0", "--num-small-crops", "2"];
    const scales = (least: string, most: string) => [...small, "--min-scale", least, "--small-max-scale", most];
    await refused("swav", scales("0.6", "0.4"), /--min-scale 0\.6 must not be above --small-max-scale 0\.4/);
    await refused(
      "swav",
      [...small, "--min-scale", "0.5"],
      /--min-scale 0\.5 must not be above --small-max-scale 0\.4/,
    );
    assert((await planned("swav", scales("0.4", "0.4"))).total > 0);
    assert((await planned("simclr", ["--min-scale", "0.6"])).total > 0);

    await writeTree(`${folder}/images`, { "train/a/1.jpg": JPEG, "train/b/2.jpg": JPEG, "a file": JPEG });
    const images = ["--train-dataset", "custom", "--data-dir", `${folder}/images`, "--image-size", "8"];
    const learn = ["prior", "--objective", "simclr", "--encoder", "resnet8_narrow", ...images, ...SMALL];
    const cached = (
      place: string,
    ) => [...learn, "--cache-dir", `${folder}/${place}`, "--out", `${folder}/c.safetensors`];
    for (const place of ["images/a file", "images/a file/below"]) {
      const result = await runCli([...cached(place), "--quiet"], PERMISSIONS);
      assertRefused(
        result,
        1,
        /Cannot keep decoded images in .*a file.*: it is a file or lies below one, and a folder is/,
      );
    }
    assert((await runJson(cached("cache"))).steps === 4);
  }));

Deno.test("prior says on stderr what flags mean that are read in part, and nothing where it is quiet", () =>
  withFolder(async (folder) => {
    const task = taskFlags(makeTask(folder)), out = ["--out", `${folder}/learned.safetensors`];
    const args = ["prior", "--objective", "simclr", ...task, ...SMALL, "--transforms", "original", "--n-samples", "60"];
    const said = await runCli([...args, ...out], PERMISSIONS);
    assertMatch(said.stderr, /^--transforms original says with --objective simclr which normalisation/m);
    assertMatch(said.stderr, /^4 snapshots, not the 60 of --n-samples: one a step, and 4 steps are taken$/m);
    assertEquals((await runCli([...args, ...out, "--force", "--quiet"], PERMISSIONS)).stderr, "");
  }));
