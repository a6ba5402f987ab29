import { assert, assertEquals, assertMatch } from "@std/assert";
import { CORRUPTIONS } from "../../lib/data/cifar_variants.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { assertRefused, namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import { flowerFiles, JPEG, npyImages, npyLabels, petFiles, trimapPng, writeTree } from "../data/arrays.ts";
import { makeTask, runJson, type Task, taskFlags } from "./task.ts";

const STEPS = ["--max-steps", "2", "--n-samples", "1", "--prior-type", "none"];

// deno-lint-ignore no-explicit-any
function configOf(run: string): any {
  return JSON.parse(Deno.readTextFileSync(`${run}/config.json`));
}

Deno.test("infer trains on cifar10 and evaluates on cifar10.1; evaluate takes its run to a corruption of cifar10-c", () =>
  withFolder(async (folder) => {
    const task: Task = makeTask(folder);
    await writeTree(task.data, {
      "cifar10.1_v6_data.npy": npyImages(7),
      "cifar10.1_v6_labels.npy": npyLabels([0, 1, 2, 3, 4, 5, 6]),
      "CIFAR-10-C/fog.npy": npyImages(20),
      "CIFAR-10-C/labels.npy": npyLabels(Array.from({ length: 20 }, (_, i) => i % 10), "uint8"),
    });
    const run = `${folder}/run`;
    const result = await runJson([
      "infer",
      ...taskFlags(task),
      ...STEPS,
      "--val-dataset",
      "cifar10.1-v6",
      "--out",
      run,
    ]);
    assertEquals([result.n, result.steps], [7, 2]);
    const evaluate = ["evaluate", "--run", run, "--val-dataset", "cifar10-c", "--data-dir", task.data];
    assertEquals((await runJson([...evaluate, "--corruption", "fog", "--severity", "3"])).n, 4);
    const read = { permissions: "--allow-read" };
    assertRefused(await runCli(evaluate, read), 2, /the corruption is missing; --corruption \(one of gaussian_noise, /);
    assertRefused(await runCli([...evaluate, "--corruption", "fog", "--severity", "6"], read), 2, /--severity=6/);
    assertEquals(CORRUPTIONS.includes("fog"), true);
  }));

Deno.test("infer under --transforms original decodes flowers on demand, resumes, and records their normalisation", () =>
  withFolder(async (folder) => {
    await writeTree(`${folder}/flowers`, flowerFiles());
    const run = `${folder}/run`;
    const args = ["--encoder", "resnet8_narrow", "--transforms", "original", "--image-size", "32", "--batch-size", "2"];
    const data = ["--train-dataset", "oxford102flowers", "--data-dir", `${folder}/flowers`, "--val-dir", "test"];
    const result = await runJson(["infer", ...args, ...data, ...STEPS, "--epochs", "2", "--out", run]);
    assertEquals([result.n, result.steps], [4, 2]);
    const config = configOf(run);
    assertEquals(config.normalisation, RECIPES.oxford102flowers.normalisation);
    assertEquals([config.classifier.numClasses, config.classifier.height], [102, 32]);
    // Of the run's own size and treatment without being told.
    const again = ["evaluate", "--run", run, "--val-dataset", "oxford102flowers", ...data.slice(2)];
    assertEquals((await runJson(again)).nll, result.nll);
    assertEquals((await runJson(["infer", "--resume", "--out", run])).nll, result.nll);
    // Other pixels in files of the same names and sizes.
    for (const name of namesIn(`${folder}/flowers/jpg`)) {
      const path = `${folder}/flowers/jpg/${name}`, bytes = await Deno.readFile(path);
      bytes[bytes.length - 40] ^= 4;
      await Deno.writeFile(path, bytes);
    }
    const changed = await runCli(["infer", "--resume", "--out", run], { permissions: "--allow-read --allow-write" });
    assertRefused(changed, 1, /the training images differ from the run's/);
  }));

Deno.test("prior and infer take oxfordpets in their official layout, and custom under --compat with its mistake", () =>
  withFolder(async (folder) => {
    await writeTree(`${folder}/pets`, petFiles(trimapPng([1])));
    await writeTree(`${folder}/custom`, {
      "train/a/1.jpg": JPEG,
      "train/b/2.jpg": JPEG,
      "val/a/3.jpg": JPEG,
    });
    const task = makeTask(folder);
    const network = [
      "--encoder",
      "resnet8_narrow",
      "--transforms",
      "original",
      "--image-size",
      "32",
      "--batch-size",
      "2",
    ];
    const prior = ["--weights-path", task.checkpoint, "--n-samples", "2", "--max-steps", "2", "--epochs", "2"];
    const pets = ["--train-dataset", "oxfordpets", "--data-dir", `${folder}/pets`];
    assertEquals(
      (await runJson(["prior", ...network, ...prior, ...pets, "--out", `${folder}/p.safetensors`])).steps,
      2,
    );
    const custom = ["--train-dataset", "custom", "--data-dir", `${folder}/custom`, "--compat", "--sampler", "sgd"];
    const run = `${folder}/run`;
    await runJson(["infer", ...network, ...STEPS, ...custom, "--prior-step", "explicit", "--out", run]);
    assertEquals(configOf(run).normalisation.std, [0.228, 0.224, 0.225]);
    assertEquals(configOf(run).valNormalisation.std, [0.228, 0.224, 0.225]);
  }));

Deno.test("infer plans a ResNet on the original's 224 pixels of CIFAR without the 7 GiB of its images", () =>
  withFolder(async (folder) => {
    const task = makeTask(folder);
    const plan = ["infer", "--train-dataset", "cifar10", "--data-dir", task.data, "--prior-type", "none", "--dry-run"];
    const large = await runCli([...plan, "--encoder", "resnet18", "--batch-size", "2", "--out", `${folder}/run`], {
      permissions: "--allow-read --allow-write",
    });
    assertEquals(large.code, 0, large.stderr);
    assertMatch(large.stdout, /MiB/);
    const refused = await runCli([...plan, "--train-dataset", "cifar10-c", "--out", `${folder}/run`], {
      permissions: "--allow-read --allow-write",
    });
    assertRefused(refused, 2, /Cannot train on cifar10-c: it is a test set/);
    assert(!await Deno.stat(`${folder}/run`).then(() => true, () => false));
  }));

Deno.test("prior --objective learns from stl10's unlabelled images, measured by its labelled ones; nothing else trains on them", () =>
  withFolder(async (folder) => {
    const image = 96 * 96 * 3, pixels = (count: number) => new Uint8Array(count * image).map((_, i) => i * 7919 % 251);
    await writeTree(folder, {
      "train_X.bin": pixels(12),
      "train_y.bin": new Uint8Array(12).fill(2),
      "test_X.bin": pixels(3),
      "test_y.bin": Uint8Array.of(2, 1, 2),
      "unlabeled_X.bin": pixels(20),
    });
    const data = ["--train-dataset", "stl10", "--data-dir", folder, "--train-dir", "unlabelled", "--image-size", "16"];
    const network = ["--encoder", "resnet8_narrow", "--batch-size", "4", "--max-steps", "4"];
    const views = ["--objective", "simclr", "--proj-hidden-dim", "8", "--proj-output-dim", "4", "--knn-every", "1"];
    const result = await runJson(["prior", ...network, ...data, ...views, "--epochs", "1", "--out", `${folder}/p.st`]);
    // All known labels are 2; by those of the unlabelled images all would be 1.
    assertEquals(result.evaluations, [{ steps: 0, knn: 2 / 3, linear: 2 / 3 }]);
    const permissions = "--allow-read --allow-write",
      message = /labels of stl10 \(unlabelled\): it has none; prior --obj/;
    const scratch = ["prior", ...network, ...data, "--pretrain-epochs", "1", "--out", `${folder}/q.st`, "--quiet"];
    assertRefused(await runCli(scratch, { permissions }), 2, message);
    const online = [
      "prior",
      ...network,
      ...data,
      ...views,
      "--classifier-lr",
      "0.1",
      "--out",
      `${folder}/q.st`,
      "--quiet",
    ];
    assertRefused(await runCli(online, { permissions }), 2, /Cannot use --classifier-lr with stl10 .*it has no labels/);
    const infer = ["infer", ...network, ...data, "--prior-type", "none", "--out", `${folder}/run`, "--quiet"];
    // Both parts: 8 steps of 4 images; measured by the labelled ones again.
    const both = data.with(5, "train+unlabelled"), epoch = network.slice(0, 4);
    const joined = ["prior", ...epoch, ...both, ...views, "--epochs", "1", "--num-of-labels", "10"];
    const all = await runJson([...joined, "--n-samples", "2", "--n-cycles", "1", "--out", `${folder}/r.st`]);
    assertEquals([all.steps, all.evaluations[0]], [8, { steps: 0, knn: 2 / 3, linear: 2 / 3 }]);
    const split = await runCli([...joined, "--val-split", "0.25", "--out", `${folder}/s.st`, "--quiet"], {
      permissions,
    });
    assertRefused(split, 2, /Cannot measure anything on stl10 \(train\+unlabelled\): 5 of its 8 images have no labels/);
    const unknown = await runCli([...joined, "--val-dir", "unlabelled", "--out", `${folder}/t.st`, "--quiet"], {
      permissions,
    });
    assertRefused(unknown, 2, /Cannot measure anything on stl10 \(unlabelled\): 20 of its 20 images have no labels/);
    const infers = [...infer.slice(0, 5), ...both, ...infer.slice(-5)];
    assertRefused(
      await runCli(infers, { permissions }),
      2,
      /stl10 \(train\+unlabelled\): 20 of its 32 images have none/,
    );
    assertRefused(await runCli(infer, { permissions }), 2, message);
  }));
