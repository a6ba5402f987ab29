import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { writeTorch } from "../../lib/checkpoint/torch.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights, stateDictFromWeights } from "../../lib/models/weights.ts";
import { writePrior } from "../../lib/priors/files.ts";
import { assertRefused, namesIn, NO_ADAPTER, runCli, withFolder } from "../cli/run_cli.ts";
import { makeTask, manifestOf, RECORD_BYTES, runJson, type Task, taskFlags, TINY, tinyPrior } from "./task.ts";

const PERMISSIONS = { permissions: "--allow-read --allow-write" };
const fixture = (name: string) => fromFileUrl(new URL(`../fixtures/checkpoints/${name}`, import.meta.url));

/** Every path below a folder. */
function everything(folder: string): string[] {
  return namesIn(folder).flatMap((name) => {
    const path = `${folder}/${name}`;
    return Deno.statSync(path).isDirectory ? [path, ...everything(path)] : [path];
  });
}

/** Runs `infer`, which must be refused and leave nothing behind. */
async function refuses(
  folder: string,
  args: readonly string[],
  message: RegExp,
  code = 1,
  options: { readonly env?: Record<string, string> } = {},
): Promise<void> {
  const before = everything(folder);
  assertRefused(await runCli([...args, "--quiet"], { ...PERMISSIONS, ...options }), code, message);
  assertEquals(everything(folder), before, "nothing is left behind");
}

function inferArgs(task: Task, folder: string, ...more: string[]): string[] {
  return ["infer", ...taskFlags(task), "--max-steps", "4", "--n-samples", "2", "--out", `${folder}/run`, ...more];
}

async function withTask(fn: (folder: string, task: Task) => Promise<void>): Promise<void> {
  await withFolder((folder) => fn(folder, makeTask(folder)));
}

Deno.test("infer and evaluate refuse damaged, hostile and unfit checkpoints", async () => {
  await withTask(async (folder, task) => {
    const layouts = layoutModel(TINY);
    const dict = stateDictFromWeights(layouts, initialWeights(layouts, 3));
    const whole = writeTorch(dict);
    const flipped = whole.slice();
    flipped[Math.floor(whole.length / 2)] ^= 4;
    const safetensors = writeSafetensors(dict);
    const lacking = new Map([...dict].filter(([name]) => name !== "conv1.weight"));
    const larger = { ...TINY, encoder: "resnet8" };
    const other = stateDictFromWeights(layoutModel(larger), initialWeights(layoutModel(larger), 1));
    const path = (name: string, bytes: Uint8Array) => {
      Deno.writeFileSync(`${folder}/${name}`, bytes);
      return `${folder}/${name}`;
    };
    const cases: readonly (readonly [string, RegExp])[] = [
      [path("cut.pt", whole.subarray(0, whole.length - 1000)), /^swagpu \w+: Cannot read .*cut\.pt/],
      [path("flipped.pt", flipped), /^swagpu \w+: Cannot read .*flipped\.pt.*checksum/],
      [path("cut.safetensors", safetensors.subarray(0, 5000)), /^swagpu \w+: Cannot read .*cut\.safetensors/],
      [path("empty.pt", new Uint8Array()), /^swagpu \w+: Cannot read .*empty\.pt/],
      [fixture("evil.pt"), /^swagpu \w+: Cannot /],
      [fixture("evil_only.pt"), /^swagpu \w+: Cannot /],
      [fixture("bomb.pt"), /^swagpu \w+: Cannot read .*bomb\.pt/],
      [fixture("bomb_stated.pt"), /^swagpu \w+: Cannot read .*bomb_stated\.pt/],
      [path("lacking.pt", writeTorch(lacking)), /^swagpu \w+: Cannot .*conv1\.weight/],
      [path("other.pt", writeTorch(other)), /^swagpu \w+: Cannot .*conv1\.weight/],
      [`${folder}/absent.pt`, /^swagpu \w+: Cannot read .*absent\.pt as a checkpoint: there is no such file/],
    ];
    for (const [file, message] of cases) {
      await refuses(folder, inferArgs(task, folder, "--weights-path", file, "--prior-type", "none"), message);
    }
    const evaluate = ["evaluate", "--data-dir", task.data, "--encoder", "resnet56", "--weights-path", task.checkpoint];
    await refuses(folder, evaluate, /^swagpu evaluate: Cannot /);
    // What the hostile pickles would have done is in tests/fixtures/write_checkpoints.py.
    assertEquals(everything(folder).filter((name) => /pwned|evil/.test(name)), []);
  });
});

Deno.test("infer refuses damaged priors and those of another network", async () => {
  await withTask(async (folder, task) => {
    const prior = (path: string, ...more: string[]) => inferArgs(task, folder, "--prior-path", path, ...more);
    const bytes = await Deno.readFile(task.prior);
    await Deno.writeFile(`${folder}/cut.safetensors`, bytes.subarray(0, bytes.length - 400));
    await refuses(folder, prior(`${folder}/cut.safetensors`), /^swagpu infer: Cannot read .*cut\.safetensors/);

    const header = bytes.slice();
    header[40] ^= 0x80;
    await Deno.writeFile(`${folder}/header.safetensors`, header);
    await refuses(folder, prior(`${folder}/header.safetensors`), /^swagpu infer: Cannot read .*header\.safetensors/);

    for (const part of ["mean", "covmat", "model"]) {
      const path = `${task.parts}_${part}.pt`;
      const kept = await Deno.readFile(path);
      const flipped = kept.slice();
      flipped[Math.floor(kept.length / 2)] ^= 1;
      await Deno.writeFile(path, flipped);
      await refuses(folder, prior(task.parts), /^swagpu infer: Cannot read .*checksum/);
      await Deno.writeFile(path, kept.subarray(0, kept.length >> 1));
      await refuses(folder, prior(task.parts), /^swagpu infer: Cannot read /);
      await Deno.writeFile(path, kept);
    }
    await Deno.remove(`${task.parts}_variance.pt`);
    await refuses(folder, prior(task.parts), /^swagpu infer: Cannot read .*_variance\.pt as a part of a learned prior/);

    await Deno.writeFile(`${folder}/other.safetensors`, writePrior(tinyPrior({ ...TINY, encoder: "resnet8" })));
    await refuses(folder, prior(`${folder}/other.safetensors`), /^swagpu infer: Cannot .*conv1\.weight/);
    const own = ["--weights-path", task.checkpoint];
    await refuses(folder, prior(`${folder}/other.safetensors`, ...own), /^swagpu infer: Cannot use a prior over \d+ /);
    await refuses(
      folder,
      inferArgs(task, folder),
      /^swagpu infer: Cannot use --prior-type shifted_gaussian without/,
      2,
    );
  });
});

Deno.test("infer, prior and evaluate refuse damaged images", async () => {
  await withTask(async (folder, task) => {
    const path = `${task.data}/data_batch_1.bin`;
    const kept = await Deno.readFile(path);
    const learn = [
      "prior",
      ...taskFlags(task),
      "--weights-path",
      task.checkpoint,
      "--out",
      `${folder}/p.safetensors`,
    ];
    const both = async (message: RegExp) => {
      await refuses(folder, inferArgs(task, folder, "--prior-path", task.prior), message);
      await refuses(folder, learn, message);
    };
    await Deno.writeFile(path, kept.subarray(0, kept.length - 100));
    await both(/^swagpu \w+: Cannot read .*data_batch_1\.bin as CIFAR-10 records: record 39 has 2973 of 3073 bytes/);
    const wrong = kept.slice();
    wrong[7 * RECORD_BYTES] = 200;
    await Deno.writeFile(path, wrong);
    await both(/^swagpu \w+: Cannot read .*data_batch_1\.bin as CIFAR-10 records: record 7 has label 200/);
    await Deno.remove(path);
    await both(/^swagpu \w+: Cannot read CIFAR-10 \(train\) from /);
    await Deno.mkdir(`${folder}/images/val/a`, { recursive: true });
    await Deno.writeTextFile(`${folder}/images/val/a/x.jpg`, "no JPEG");
    const data = ["--val-dataset", "imagefolder", "--data-dir", `${folder}/images`, "--image-size", "32"];
    const evaluate = ["evaluate", "--encoder", "resnet8_narrow", "--weights-path", task.checkpoint, ...data];
    await refuses(folder, evaluate, /^swagpu evaluate: Cannot .*x\.jpg/);
  });
});

Deno.test("infer and prior refuse an output that exists or cannot be written, before they train", async () => {
  await withTask(async (folder, task) => {
    const infer = (out: string) => [...inferArgs(task, folder, "--prior-path", task.prior), "--out", out];
    const prior = (out: string) => [
      "prior",
      ...taskFlags(task),
      "--weights-path",
      task.checkpoint,
      "--max-steps",
      "4",
      "--out",
      out,
    ];
    await refuses(folder, infer(task.prior), /^swagpu infer: Cannot write the run .*: it is a file/);
    await refuses(folder, infer(`${task.prior}/run`), /^swagpu infer: Cannot write the run /);
    await Deno.mkdir(`${folder}/old`);
    await Deno.writeTextFile(`${folder}/old/config.json`, "{}");
    await refuses(folder, infer(`${folder}/old`), /^swagpu infer: Cannot write the run .*: it holds a run.* --resume/);
    await refuses(folder, prior(task.prior), /^swagpu prior: Cannot write .*prior\.safetensors: it exists/);
    await refuses(folder, prior(`${folder}/no/such/p.safetensors`), /^swagpu prior: Cannot write .*p\.safetensors: /);
    await refuses(folder, prior(`${task.prior}/p.safetensors`), /^swagpu prior: Cannot write .*p\.safetensors: /);
    await refuses(folder, [...prior(`${folder}/old`), "--force"], /^swagpu prior: Cannot write .*: it is a folder/);
    // Found before the images are looked for.
    const nowhere = ["--data-dir", `${folder}/none`, "--quiet"],
      readOnly = `--allow-read --allow-write=${folder}/other`;
    for (
      const [args, message] of [
        [infer(`${folder}/new/run`), /^swagpu infer: Cannot write the run .*new\/run: .*write access.*; a folder that/],
        [prior(`${folder}/p.safetensors`), /^swagpu prior: Cannot write .*p\.safetensors: .*write access.*; a folder/],
      ] as [string[], RegExp][]
    ) {
      assertRefused(await runCli([...args, ...nowhere], { permissions: readOnly }), 1, message);
    }
    const lost = ["infer", "--resume", "--out", `${folder}/none`];
    await refuses(folder, lost, /^swagpu infer: Cannot read .*none\/config\.json as a run's settings/);
  });
});

Deno.test("infer --resume and evaluate refuse a folder whose settings are not a run's", async () => {
  await withTask(async (folder) => {
    const path = `${folder}/run/config.json`;
    await Deno.mkdir(`${folder}/run`);
    for (const text of ["{", "null", "[]", '{"flags":{}}']) {
      await Deno.writeTextFile(path, text);
      await refuses(
        folder,
        ["infer", "--resume", "--out", `${folder}/run`],
        /^swagpu infer: Cannot read .*config\.json as /,
      );
    }
    await refuses(
      folder,
      ["evaluate", "--run", `${folder}/run`],
      /^swagpu evaluate: Cannot read .*: it lacks classifier/,
    );
  });
});

Deno.test("infer and evaluate refuse flags that are unknown, contradict each other or have no meaning", async () => {
  await withTask(async (folder, task) => {
    const infer = (...more: string[]) => inferArgs(task, folder, "--prior-path", task.prior, ...more);
    await refuses(folder, infer("--pior-scale", "2"), /^swagpu infer: Cannot use --pior-scale: .*--prior-scale/, 2);
    await refuses(folder, infer("--sampler", "hmc"), /^swagpu infer: Cannot .*--sampler/, 2);
    await refuses(folder, infer("--encoder", "resnet9"), /^swagpu infer: Cannot build encoder resnet9/, 2);
    await refuses(folder, infer("--num-of-labels", "7"), /^swagpu infer: Cannot use .*--num-of-labels 7/, 2);
    await refuses(folder, infer("--train-dataset", "mnist"), /^swagpu infer: Cannot load the data set "mnist"/, 2);
    await refuses(folder, infer("--number-of-samples-prior", "9"), /^swagpu infer: Cannot build a prior of rank 9/);
    await refuses(folder, ["evaluate", "--data-dir", task.data], /^swagpu evaluate: Cannot evaluate: exactly one/, 2);
    const bare = ["prior", ...taskFlags(task), "--out", `${folder}/p.safetensors`];
    await refuses(folder, bare, /^swagpu prior: Cannot learn a prior: a pre-trained network is required/, 2);
  });
});

Deno.test("infer, prior and evaluate without an adapter say how to get one and write nothing", async () => {
  await withTask(async (folder, task) => {
    const none = { env: NO_ADAPTER };
    const message = /^swagpu \w+: Cannot open a WebGPU device: no adapter was found.*mesa-vulkan-drivers/;
    await refuses(folder, inferArgs(task, folder, "--prior-path", task.prior), message, 1, none);
    const evaluate = ["evaluate", "--encoder", "resnet8_narrow", "--data-dir", task.data];
    await refuses(folder, [...evaluate, "--weights-path", task.checkpoint], message, 1, none);
    const prior = ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, "--out", `${folder}/p.safetensors`];
    await refuses(folder, prior, message, 1, none);
  });
});

Deno.test("infer and prior stop with exit code 1 where the loss is not finite; what was collected stays", async () => {
  await withTask(async (folder, task) => {
    const run = `${folder}/run`;
    const wild = ["--lr", "1e30", "--prior-type", "none", "--weights-path", task.checkpoint, "--schedule", "constant"];
    const done = await runCli([...inferArgs(task, folder, ...wild), "--quiet"], PERMISSIONS);
    assertRefused(done, 1, /^swagpu infer: Cannot go on training: .*(NaN|nfinity).*smaller learning rate\n$/);
    assertEquals(await Deno.stat(`${run}/samples/manifest.json`).catch(() => undefined), undefined);

    const learn = ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, "--max-steps", "4"];
    const before = everything(folder);
    const lost = await runCli(
      [...learn, "--swa-lrs", "1e30", "--out", `${folder}/p.safetensors`, "--quiet"],
      PERMISSIONS,
    );
    assertRefused(lost, 1, /^swagpu prior: Cannot .*smaller learning rate\n$/);
    assertEquals(everything(folder), before);

    // A run that diverges late keeps its samples: the second half of this one is made wild in its settings.
    const late = `${folder}/late`;
    const calm = ["--prior-type", "none", "--weights-path", task.checkpoint, "--checkpoint-steps", "4"];
    await runJson([...inferArgs(task, folder, ...calm), "--out", late]);
    const kept = manifestOf(late);
    const config = JSON.parse(await Deno.readTextFile(`${late}/config.json`));
    config.flags.maxSteps = 12;
    config.flags.lr = 1e30;
    config.flags.schedule = "constant";
    await Deno.writeTextFile(`${late}/config.json`, JSON.stringify(config));
    const diverged = await runCli(["infer", "--resume", "--out", late, "--quiet"], PERMISSIONS);
    assertRefused(diverged, 1, /^swagpu infer: Cannot go on training: /);
    assertEquals(manifestOf(late), kept);
    const readable = await runJson(["evaluate", "--run", late, "--data-dir", task.data]);
    assertEquals([readable.samples, Number.isFinite(readable.nll)], [2, true]);
  });
});

Deno.test("infer refuses an explicit step that would diverge and names a learning rate that runs", async () => {
  await withTask(async (folder, task) => {
    const infer = (lr: string, ...more: string[]) =>
      inferArgs(task, folder, "--prior-path", task.prior, "--prior-step", "explicit", "--lr", lr, ...more);
    const before = everything(folder);
    const refused = await runCli([...infer("0.5"), "--quiet"], PERMISSIONS);
    assertRefused(
      refused,
      1,
      /^swagpu infer: Cannot run sghmc with an explicit prior step: learning rate 0\.5 diverges/,
    );
    assertEquals(everything(folder), before);
    assertMatch(refused.stderr, /learning rate below [\d.e+-]+, or --prior-eps above [\d.e+-]+/);
    const largest = Number(refused.stderr.match(/learning rate below ([\d.e+-]+)/)![1]);
    const eps = Number(refused.stderr.match(/--prior-eps above ([\d.e+-]+)/)![1]);
    assert(largest > 0 && largest < 0.5 && eps > 1e-5);
    // The message rounds to four digits.
    assertEquals((await runJson(infer(String(0.999 * largest), "--out", `${folder}/slow`))).samples, 2);
    assertEquals(
      (await runJson(infer("0.5", "--prior-eps", String(1.001 * eps), "--out", `${folder}/wide`))).samples,
      2,
    );
    await refuses(folder, infer(String(1.001 * largest)), /^swagpu infer: Cannot run sghmc with an explicit/);
  });
});
