/** Which numbers and flags the objectives of `prior` refuse, by name, before any work. */

import { assert } from "@std/assert";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
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
