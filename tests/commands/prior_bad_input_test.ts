/** What `prior` and `infer` refuse of views, of what they are measured by, and of chains: before any work, losing nothing. */

import { assert, assertEquals } from "@std/assert";
import { assertRefused, namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import { GRAY_JPEG, JPEG, writeTree } from "../data/arrays.ts";
import { exists, killAt, pause } from "./kill.ts";
import { makeTask, resultOf, runJson, taskFlags } from "./task.ts";

const PERMISSIONS = { permissions: "--allow-read --allow-write" };
const SIZES = ["--proj-hidden-dim", "8", "--proj-output-dim", "4"];
const STEPS = ["--epochs", "3", "--max-steps", "3", "--swag-scheduler", "constant", "--max-rank", "2"];

/** Every file below a folder with its bytes, in hexadecimal. */
function contents(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of namesIn(folder)) {
    const path = `${folder}/${name}`;
    if (Deno.statSync(path).isDirectory) Object.assign(found, contents(path));
    else found[path] = Deno.readFileSync(path).toHex();
  }
  return found;
}

/** Runs a command that must be refused and change no file. */
async function refuses(folder: string, args: readonly string[], code: number, message: RegExp): Promise<void> {
  const before = contents(folder);
  assertRefused(await runCli([...args, "--quiet"], PERMISSIONS), code, message);
  assertEquals(contents(folder), before, "no file is changed");
}

Deno.test("prior --num-small-crops has room for 14, planned or learned", () =>
  withFolder(async (folder) => {
    const task = makeTask(folder), out = ["--out", `${folder}/o.safetensors`];
    const small = ["--num-prototypes", "4", "--queue-size", "0", "--small-crop-size", "8", "--num-small-crops"];
    const args = ["prior", "--objective", "swav", ...taskFlags(task), ...SIZES, ...STEPS, ...out, ...small];
    const message =
      /Cannot use --num-small-crops 15: .* makes 17 views of an image; at most 14 small ones are possible/;
    await refuses(folder, [...args, "15", "--dry-run"], 2, message);
    await refuses(folder, [...args, "15"], 2, message);
    assert((await runJson([...args, "14", "--dry-run"])).total > 0);
  }));

Deno.test("prior --knn-every and infer measure by the classes that are learned from, or not at all", () =>
  withFolder(async (folder) => {
    const task = makeTask(folder), own = `${folder}/own`, out = ["--out", `${folder}/o.safetensors`];
    await writeTree(own, { "train/a/1.jpg": JPEG, "train/a/2.jpg": GRAY_JPEG, "train/b/3.jpg": GRAY_JPEG });
    const network = ["--encoder", "resnet8_narrow", "--batch-size", "3", "--image-size", "8"];
    const images = [...network, "--train-dataset", "custom", "--data-dir", own];
    const measured = ["--objective", "simclr", ...SIZES, ...STEPS, "--knn-every", "1", ...out];
    const learn = ["prior", ...images, ...measured];
    await refuses(
      folder,
      learn,
      1,
      /Cannot load custom \(val\) .* there is no folder .*own\/val or .*own\/test; required/,
    );
    await refuses(folder, [...learn, "--val-dir", "held"], 1, /there is no folder .*own\/held; required is/);
    await writeTree(own, { "val/c/1.jpg": JPEG });
    await refuses(folder, learn, 1, /own\/val: it has a class "c", which is none of the 2 known classes \(a, b\)/);
    await Deno.rename(`${own}/val/c`, `${own}/val/b`);
    assertEquals((await runJson(learn)).evaluations[0].steps, 0);
    await Deno.remove(out[1]);

    // Another set, of more classes, and of as many others.
    for (const [set, found] of [["procedural-source", 24], ["procedural-downstream", 10]] as const) {
      const message = new RegExp(
        `Cannot measure on ${set} \\(val\\) what CIFAR-10 taught: it has ${found} classes .*; the same 10 classes`,
      );
      await refuses(folder, ["prior", ...taskFlags(task), ...measured, "--val-dataset", set], 2, message);
      const run = ["--prior-type", "none", "--max-steps", "2", "--n-samples", "1", "--out", `${folder}/run`];
      await refuses(folder, ["infer", ...taskFlags(task), ...run, "--val-dataset", set], 2, message);
    }
  }));

/** Flags of a small network on the photographs of a folder. */
function customFlags(folder: string): string[] {
  return ["--train-dataset", "custom", "--data-dir", folder, "--encoder", "resnet8_narrow", "--batch-size", "3"];
}

Deno.test("prior --objective takes views of 8 pixels on, of an odd side too, blurred and cut out", () =>
  withFolder(async (folder) => {
    await writeTree(folder, { "train/a/1.jpg": JPEG, "train/a/2.jpg": GRAY_JPEG, "train/b/3.jpg": JPEG });
    const data = customFlags(folder);
    const out = ["--out", `${folder}/o.safetensors`];
    const learn = ["prior", "--objective", "simclr", ...data, ...SIZES, ...STEPS, ...out, "--gaussian-prob", "1"];
    for (const flag of ["--image-size", "--crop-size", "--small-crop-size"]) {
      await refuses(folder, [...learn, flag, "7"], 2, new RegExp(`${flag}=7: found "7", a whole number of 8 or more`));
    }
    for (const sizes of [["--image-size", "8"], ["--image-size", "9"], ["--image-size", "8", "--crop-size", "33"]]) {
      const { loss, steps } = await runJson([...learn, ...sizes, "--force"]);
      assert(Number.isFinite(loss) && loss > 0 && steps === 3, `${sizes}: ${loss}`);
    }
  }));

Deno.test("images whose bytes are no multiple of four train, are predicted, measured and curved", () =>
  withFolder(async (folder) => {
    const files = ["a/1", "a/2", "b/3"].flatMap((
      name,
    ) => [[`train/${name}.jpg`, JPEG], [`val/${name}.jpg`, GRAY_JPEG]]);
    await writeTree(folder, Object.fromEntries(files));
    const data = customFlags(folder);
    const size = ["--image-size", "9"], run = `${folder}/run`;
    const sampled = ["--prior-type", "none", "--max-steps", "2", "--n-samples", "1", "--out", run];
    const { nll, n } = await runJson(["infer", ...data, ...size, ...sampled]);
    assert(Number.isFinite(nll) && n === 3);
    const sample = `${run}/samples/${namesIn(`${run}/samples`).find((name) => name.endsWith(".safetensors"))}`;
    const curved = ["--method", "fisher", "--weights-path", sample, "--out", `${folder}/f.safetensors`];
    assertEquals((await runJson(["prior", ...data, ...size, ...curved])).rank, 0);
    const measured = [
      "--objective",
      "simclr",
      ...SIZES,
      ...STEPS,
      "--knn-every",
      "1",
      "--out",
      `${folder}/o.safetensors`,
    ];
    const { evaluations } = await runJson(["prior", ...data, ...size, ...measured]);
    assertEquals(evaluations.length, 4);
  }));

Deno.test({
  name: "prior --resume tells a chain's file that is damaged or gone, and goes on once it is there again",
  ignore: Deno.build.os === "windows",
  fn: () =>
    withFolder(async (folder) => {
      const task = makeTask(folder), out = `${folder}/o.safetensors`, chain = `${out}.chain0`;
      const length = ["--max-steps", "12", "--swag-scheduler", "constant", "--max-rank", "3", "--chains", "4"];
      const begin = ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, ...length, "--out", out];
      const { landed } = await killAt([...begin, "--checkpoint-steps", "1", "--quiet"], async (ended) => {
        while (!ended() && !await exists(`${out}.chain1`)) await pause(1);
      });
      assert(landed && await exists(chain), "the kill fell behind the second chain");
      const whole = await Deno.readFile(chain), resume = ["prior", "--resume", "--out", out];
      const flipped = whole.slice();
      flipped[whole.length - 20] ^= 4;
      const damaged: readonly (readonly [Uint8Array, RegExp])[] = [
        [flipped, /o\.safetensors\.chain0 as a chain's prior: its SHA-256 is .*; begin again with --force/],
        [whole.subarray(0, whole.length - 100), /Cannot read .*o\.safetensors\.chain0 .*; begin again with --force/],
        [whole.subarray(0, 20), /Cannot read .*o\.safetensors\.chain0 .*; begin again with --force/],
        [new Uint8Array(), /Cannot read .*o\.safetensors\.chain0 .*; begin again with --force/],
        [
          new TextEncoder().encode("no chain at all"),
          /Cannot read .*o\.safetensors\.chain0 .*; begin again with --force/,
        ],
      ];
      for (const [bytes, message] of damaged) {
        await Deno.writeFile(chain, bytes);
        await refuses(folder, resume, 1, message);
      }
      await Deno.remove(chain);
      await refuses(
        folder,
        resume,
        1,
        /o\.safetensors\.chain0 as a chain's prior: .*required.*; begin again with --force/,
      );
      await Deno.writeFile(chain, whole);
      const { snapshots } = resultOf(await runCli([...resume, "--json", "--quiet"], PERMISSIONS));
      assertEquals(snapshots % 4, 0);
      // The kill may have left the half of a checkpoint that had no name yet.
      assertEquals(namesIn(folder).filter((name) => /\.(chain\d+|checkpoint)$/.test(name)), []);
    }),
});
