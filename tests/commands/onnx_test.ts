import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { PLACEMENT_PARAMETERS } from "../../lib/data/augmentation/placements.ts";
import { readPrior, writePrior } from "../../lib/priors/files.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { assertRefused, namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import { graphWith, withExternalData, withNode, writeImages } from "./onnx_task.ts";
import { exists, killAt, pause } from "./kill.ts";
import { makeTask, manifestOf, resultOf, runJson, sampleHashes, stepsIn, type Task } from "./task.ts";

const READ_WRITE = { permissions: "--allow-read --allow-write" };
const READ = { permissions: "--allow-read" };
const DATA = fromFileUrl(new URL("../../../shared/data", import.meta.url));
const present = await Deno.stat(`${DATA}/checkpoints`).then(() => true, () => false);
const folded = fromFileUrl(new URL("../fixtures/checkpoints/net_folded.onnx", import.meta.url));

/** Writes the weights and the graph of a fixture as an ONNX file. */
async function writeNetwork(folder: string, name: string): Promise<string> {
  const path = `${folder}/${name}.onnx`;
  await Deno.writeFile(path, (await readOnnxFixture(name)).bytes);
  return path;
}

function flagsOf({ data }: Task, onnx: string): string[] {
  return ["--onnx", onnx, "--train-dataset", "cifar10", "--data-dir", data, "--batch-size", "8"];
}

Deno.test("a prior learned on an imported MobileNet is used downstream, resumed and evaluated", async (test) => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const onnx = await writeNetwork(folder, "mobilenet");
    const prior = `${folder}/mobilenet.safetensors`, run = `${folder}/run`, images = `${folder}/images`;
    await writeImages(images);
    const downstream = ["--train-dataset", "imagefolder", "--data-dir", images, "--augmentation", "none"];
    const infer = ["infer", "--onnx", onnx, "--prior-path", prior, ...downstream, "--batch-size", "4"];
    const labels = ["--num-of-labels", "3"];
    const length = ["--max-steps", "4", "--n-samples", "2", "--chains", "2", "--lr", "1e-3", "--checkpoint-steps", "3"];

    await test.step("prior names the parameters of the file's graph", async () => {
      const learn = ["prior", ...flagsOf(task, onnx), "--max-steps", "6", "--n-samples", "3", "--max-rank", "2"];
      const result = await runJson([...learn, "--out", prior]);
      assertEquals([result.steps, result.snapshots, result.rank, result.parameters], [6, 3, 2, 60232]);
      const { parameters, metadata } = readPrior(await Deno.readFile(prior));
      assertEquals([metadata.architecture, metadata.source], ["mobilenet.onnx", "mobilenet.onnx"]);
      const { gradients } = await readOnnxFixture("mobilenet");
      const backbone = gradients.filter(({ name }) => !name.startsWith("classifier.3."));
      assertEquals(parameters, backbone.map(({ name, shape }) => ({ name, shape })));
    });

    await test.step("infer puts a head of the task's classes in the place of the file's", async () => {
      const result = await runJson([...infer, ...length, ...labels, "--out", run]);
      assertEquals([result.samples, result.steps, result.n], [4, 8, 12]);
      const { classifier } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
      // The file's own size of images is taken, not 224.
      assertEquals([classifier.numClasses, classifier.height, classifier.width], [3, 32, 32]);
      assertEquals([classifier.onnx.path, classifier.network], [onnx, undefined]);
      assertMatch(classifier.onnx.sha256, /^[0-9a-f]{64}$/);
      assertEquals(new Set(manifestOf(run).map(({ sha256 }) => sha256)).size, 4);
    });

    await test.step("infer --resume goes on from a checkpoint to the same samples, also where the file was moved", async () => {
      const wanted = sampleHashes(run), steps = stepsIn(run), moved = `${folder}/moved.onnx`;
      await Deno.rename(onnx, moved);
      const missing = await runCli(["infer", "--resume", "--out", run], READ_WRITE);
      assertRefused(missing, 1, /^swagpu infer: Cannot go on with .*: there is no network .*mobilenet\.onnx; .*--onnx/);
      await Deno.remove(`${run}/${manifestOf(run)[3].file}`);
      await runJson(["infer", "--resume", "--out", run, "--onnx", moved]);
      assertEquals([sampleHashes(run), stepsIn(run)], [wanted, steps]);
      await Deno.rename(moved, onnx);
    });

    await test.step("evaluate --run reports what infer reported", async () => {
      const written = JSON.parse(await Deno.readTextFile(`${run}/metrics.json`));
      const evaluate = ["evaluate", "--run", run, "--val-dataset", "imagefolder", "--data-dir", images];
      const evaluated = await runJson([...evaluate, ...labels]);
      assertEquals([evaluated.nll, evaluated.samples], [written.nll, 4]);
    });

    await test.step("evaluate --onnx takes the weights of a sample in place of the file's", async () => {
      const sample = `${run}/${manifestOf(run)[0].file}`;
      const data = ["--val-dataset", "imagefolder", "--data-dir", images];
      const { nll, n } = await runJson(["evaluate", "--onnx", onnx, "--weights-path", sample, ...data]);
      assertEquals([n, Number.isFinite(nll)], [12, true]);
    });

    await test.step("a changed file is refused by --resume and evaluate --run, before anything is made of it", async () => {
      const whole = await Deno.readFile(onnx);
      for (
        const changed of [whole.map((byte, i) => i === whole.length - 9 ? byte ^ 1 : byte), whole.subarray(0, 999)]
      ) {
        await Deno.writeFile(onnx, changed);
        const message =
          /^swagpu \w+: Cannot go on with .*: the SHA-256 of its network's file .* is \w{64}, but was \w{64};/;
        assertRefused(await runCli(["infer", "--resume", "--out", run], READ_WRITE), 1, message);
        const evaluate = ["evaluate", "--run", run, "--val-dataset", "imagefolder", "--data-dir", images];
        assertRefused(await runCli(evaluate, READ), 1, message);
      }
      await Deno.writeFile(onnx, whole);
    });

    await test.step("a prior over the same tensors in another order, or of other shapes, is refused", async () => {
      const file = readPrior(await Deno.readFile(prior));
      const [first, second, ...rest] = file.parameters;
      const swapped = `${folder}/swapped.safetensors`;
      await Deno.writeFile(swapped, writePrior({ ...file, parameters: [second, first, ...rest] }));
      const refused = await runCli([...infer, "--prior-path", swapped, "--out", `${folder}/no`], READ_WRITE);
      assertRefused(
        refused,
        1,
        /^swagpu infer: Cannot use a prior over 60232 parameters .*: tensor 0 of the prior is /,
      );
      const other = await writeNetwork(folder, "functional");
      const wrong = await runCli([...infer, "--onnx", other, "--out", `${folder}/no`], READ_WRITE);
      assertRefused(
        wrong,
        1,
        /^swagpu infer: Cannot use a prior over 60232 parameters .*, of the network conv1\.weight /,
      );
      assertEquals(namesIn(folder).includes("no"), false);
    });
  });
});

Deno.test("prior --resume goes on with the imported network that it began with, and with no other", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), onnx = await writeNetwork(folder, "functional");
    const whole = `${folder}/whole.safetensors`, out = `${folder}/p.safetensors`;
    const learn = ["prior", ...flagsOf(task, onnx), "--max-steps", "12", "--n-samples", "4", "--checkpoint-steps", "2"];
    await runJson([...learn, "--epochs", "10", "--out", whole]);
    while (!await exists(`${out}.checkpoint`)) {
      await Deno.remove(out).catch(() => {});
      await killAt([...learn, "--epochs", "10", "--out", out, "--quiet"], async (ended) => {
        while (!ended() && !await exists(`${out}.checkpoint`)) await pause(1);
      });
    }
    const bytes = await Deno.readFile(onnx);
    await writeNetwork(folder, "squeezenet");
    const resume = ["prior", "--resume", "--out", out];
    const other = await runCli([...resume, "--onnx", `${folder}/squeezenet.onnx`], READ_WRITE);
    assertRefused(
      other,
      1,
      /^swagpu prior: Cannot go on with .*: the SHA-256 of its network's file .*squeezenet\.onnx is /,
    );
    await Deno.remove(onnx);
    assertRefused(await runCli(resume, READ_WRITE), 1, /^swagpu prior: Cannot go on with .*: there is no network /);
    await Deno.writeFile(`${folder}/moved.onnx`, bytes);
    await runJson([...resume, "--onnx", `${folder}/moved.onnx`]);
    const [found, expected] = [readPrior(await Deno.readFile(out)), readPrior(await Deno.readFile(whole))];
    assertEquals([found.swag, found.parameters], [expected.swag, expected.parameters]);
  });
});

Deno.test("prior --format parts of an imported network gives the samples of the one-file prior", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), onnx = await writeNetwork(folder, "functional");
    const learn = ["prior", ...flagsOf(task, onnx), "--max-steps", "6", "--n-samples", "3"];
    await runJson([...learn, "--out", `${folder}/p.safetensors`]);
    await runJson([...learn, "--format", "parts", "--out", `${folder}/p`]);
    const infer = ["infer", ...flagsOf(task, onnx), "--max-steps", "2", "--n-samples", "1"];
    await runJson([...infer, "--prior-path", `${folder}/p.safetensors`, "--out", `${folder}/one`]);
    const parts = ["--prior-path", `${folder}/p`, "--prior-normalisation", "normalised"];
    await runJson([...infer, ...parts, "--out", `${folder}/four`]);
    assertEquals(sampleHashes(`${folder}/four`), sampleHashes(`${folder}/one`));
  });
});

Deno.test("infer --onnx plans, recomputes and profiles", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), onnx = await writeNetwork(folder, "functional");
    const infer = [
      "infer",
      ...flagsOf(task, onnx),
      "--prior-type",
      "isotropic",
      "--max-steps",
      "2",
      "--n-samples",
      "1",
    ];
    const gpu = ["--kernel-schedule", "gpu"];
    const plan = resultOf(await runCli([...infer, ...gpu, "--out", folder, "--dry-run", "--json"], READ));
    const [file] = resultOf(await runCli(["inspect", onnx, "--batch-size", "8", "--json"], READ)).files;
    // A run's batch besides: pixels, placements and labels, and the table of colours.
    const batch = 8 * 32 * 32 * 3 + 4 * 8 * (PLACEMENT_PARAMETERS + 1) + 4 * 6;
    assertEquals([plan.out, plan.activations], [null, file.batch.trainingBytes + batch]);
    const short = resultOf(
      await runCli([...infer, ...gpu, "--out", folder, "--dry-run", "--recompute", "--json"], READ),
    );
    assert(short.activations < plan.activations);

    await runJson([...infer, "--out", `${folder}/kept`]);
    await runJson([...infer, "--recompute", "--profile", `${folder}/profile`, "--out", `${folder}/recomputed`]);
    assertEquals(sampleHashes(`${folder}/recomputed`), sampleHashes(`${folder}/kept`));
    assertStringIncludes(await Deno.readTextFile(`${folder}/profile/profile.md`), "conv2d forward");
  });
});

Deno.test({
  name:
    "evaluate --onnx reproduces PyTorch's accuracy and NLL of the CIFAR ResNet-20 with functional shortcuts (shared/data)",
  ignore: !present,
  async fn() {
    await withFolder(async (folder) => {
      const checkpoint = `${DATA}/checkpoints/resnet20-12fca82f.th`;
      const bytes = await graphWith("resnet20", checkpoint);
      await Deno.writeFile(`${folder}/resnet20.onnx`, bytes);
      const data = ["--val-dataset", "cifar10", "--data-dir", `${DATA}/cifar10`];
      const imported = await runJson(["evaluate", "--onnx", `${folder}/resnet20.onnx`, ...data]);
      const named = await runJson(["evaluate", "--encoder", "resnet20", "--weights-path", checkpoint, ...data]);
      assertEquals([imported.n, imported.accuracy], [1000, 0.915]);
      assertAlmostEquals(imported.nll, 0.3842, 1e-4);
      // The same arithmetic in the same order but for the last pooling.
      assertAlmostEquals(imported.nll, named.nll, 1e-6);

      const split = withExternalData(bytes, "weights/resnet20.bin");
      await Deno.mkdir(`${folder}/weights`);
      await Deno.writeFile(`${folder}/split.onnx`, split.model);
      const evaluate = ["evaluate", "--onnx", `${folder}/split.onnx`, ...data];
      const missing = await runCli(evaluate, READ);
      assertRefused(
        missing,
        1,
        /^swagpu evaluate: Cannot read .*resnet20\.bin as a part of .*split\.onnx: there is no such/,
      );
      await Deno.writeFile(`${folder}/weights/resnet20.bin`, split.data);
      assertEquals(await runJson(evaluate), imported);
    });
  },
});

Deno.test("evaluate --onnx evaluates the file's own classifier, and refuses data of other classes", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), onnx = await writeNetwork(folder, "functional");
    const evaluate = ["evaluate", "--onnx", onnx, "--data-dir", task.data];
    const { n, nll } = await runJson(evaluate);
    assertEquals([n, Number.isFinite(nll)], [23, true]);
    await writeImages(`${folder}/images`);
    const other = ["evaluate", "--onnx", onnx, "--val-dataset", "imagefolder", "--data-dir", `${folder}/images`];
    assertRefused(
      await runCli(other, READ),
      1,
      /^swagpu evaluate: Cannot evaluate .*functional\.onnx on .*: it tells 10 classes apart, but the set has 3; infer /,
    );
    assertRefused(
      await runCli([...evaluate, "--small-stem"], READ),
      2,
      /^swagpu evaluate: Cannot use --small-stem with --onnx/,
    );
    const named = [
      "evaluate",
      "--weights-path",
      task.checkpoint,
      "--encoder",
      "resnet8_narrow",
      "--data-dir",
      task.data,
    ];
    assertRefused(
      await runCli([...named, "--head", "fc"], READ),
      2,
      /^swagpu evaluate: Cannot use --head without --onnx/,
    );
  });
});

Deno.test("--image-size other than the file's is taken with a remark where the graph allows it", async () => {
  await withFolder(async (folder) => {
    await writeImages(`${folder}/images`);
    const onnx = await writeNetwork(folder, "squeezenet");
    const data = ["--train-dataset", "imagefolder", "--data-dir", `${folder}/images`, "--prior-type", "none"];
    const plan = ["infer", "--onnx", onnx, ...data, "--dry-run", "--out", folder];
    const own = await runCli(plan, READ);
    assertEquals([own.code, own.stderr], [0, ""]);
    const larger = await runCli([...plan, "--image-size", "48"], READ);
    assertEquals(larger.code, 0);
    assertEquals(larger.stderr, "squeezenet.onnx: the file states images of 32x32; these are 48x48\n");
    // A size that the graph's own arithmetic does not allow: its average pooling leaves four features of each channel.
    const traced = await writeNetwork(folder, "functional");
    const refused = await runCli(["infer", "--onnx", traced, ...plan.slice(3), "--image-size", "64", "--quiet"], READ);
    assertRefused(refused, 1, /^swagpu infer: Cannot import the \w+ node \S+ of .*functional\.onnx: /);
  });
});

Deno.test("infer and prior say on stderr that BatchNorm is folded, and train convolutions with biases", async () => {
  await withFolder(async (folder) => {
    await writeImages(`${folder}/images`);
    await Deno.remove(`${folder}/images/train/c`, { recursive: true });
    await Deno.remove(`${folder}/images/val/c`, { recursive: true });
    const data = ["--train-dataset", "imagefolder", "--data-dir", `${folder}/images`, "--image-size", "8"];
    const run = ["--max-steps", "2", "--batch-size", "4", "--augmentation", "none"];
    const prior = ["prior", "--onnx", folded, ...data, ...run, "--n-samples", "2", "--out", `${folder}/p.safetensors`];
    const learned = await runCli(prior, READ_WRITE);
    assertEquals(learned.code, 0, learned.stderr);
    assertMatch(
      learned.stderr,
      /^net_folded\.onnx: BatchNorm is folded into convolutions, which train as such, with biases/,
    );
    const { parameters } = readPrior(await Deno.readFile(`${folder}/p.safetensors`));
    assertEquals(parameters.map(({ shape }) => [...shape]), [[4, 3, 3, 3], [4]]);
    const infer = ["infer", "--onnx", folded, ...data, ...run, "--n-samples", "1", "--prior-path"];
    const sampled = await runCli([...infer, `${folder}/p.safetensors`, "--out", `${folder}/run`], READ_WRITE);
    assertEquals(sampled.code, 0, sampled.stderr);
    assertMatch(sampled.stderr, /^net_folded\.onnx: BatchNorm is folded into convolutions/);
  });
});

Deno.test("--encoder beside --onnx is refused by every command that takes both, also with its default", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), onnx = await writeNetwork(folder, "functional");
    const data = ["--data-dir", task.data], out = ["--out", `${folder}/out`, "--batch-size", "8", "--dry-run"];
    for (
      const command of [["evaluate", ...data], ["infer", ...data, ...out, "--prior-type", "none"], [
        "prior",
        ...data,
        ...out,
      ]]
    ) {
      for (const encoder of ["resnet18", "resnet50"]) {
        const refused = await runCli([...command, "--onnx", onnx, "--encoder", encoder], READ);
        const message = /^swagpu \w+: Cannot use --encoder with --onnx: the file's network is taken as it is/;
        assertRefused(refused, 2, message);
      }
    }
  });
});

Deno.test("prior, infer and evaluate refuse files that are no networks, in one line", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const { bytes } = await readOnnxFixture("functional");
    const path = `${folder}/bad.onnx`;
    const cases: readonly (readonly [Uint8Array, RegExp])[] = [
      [bytes.subarray(0, 5000), /: Cannot import .*bad\.onnx: it is not an ONNX model, or it is cut short/],
      [new Uint8Array(), /: Cannot import .*bad\.onnx: /],
      [new TextEncoder().encode("<html></html>"), /: Cannot import .*bad\.onnx: /],
      [
        withNode(bytes, "Relu", (node) => node.opType = "Celu"),
        /: Cannot import the Celu node .* these are: Add, And, /,
      ],
    ];
    for (const [content, message] of cases) {
      await Deno.writeFile(path, content);
      const data = ["--onnx", path, "--data-dir", task.data];
      assertRefused(await runCli(["evaluate", ...data], READ), 1, message);
      const run = ["--batch-size", "8", "--out", `${folder}/out`];
      assertRefused(await runCli(["infer", ...data, ...run, "--prior-type", "none"], READ_WRITE), 1, message);
      assertRefused(await runCli(["prior", ...data, ...run], READ_WRITE), 1, message);
    }
    const absent = ["evaluate", "--onnx", `${folder}/absent.onnx`, "--data-dir", task.data];
    assertRefused(await runCli(absent, READ), 1, /absent\.onnx as an ONNX network: there is no such file/);
    assertEquals(namesIn(folder).includes("out"), false);
  });
});

Deno.test("a file's external data that a link leads out of its folder is not read", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const { model, data } = withExternalData((await readOnnxFixture("functional")).bytes, "weights.bin");
    await Deno.mkdir(`${folder}/model`);
    await Deno.writeFile(`${folder}/model/net.onnx`, model);
    await Deno.writeFile(`${folder}/secret.bin`, data);
    await Deno.symlink(`${folder}/secret.bin`, `${folder}/model/weights.bin`);
    const evaluate = ["evaluate", "--onnx", `${folder}/model/net.onnx`, "--data-dir", task.data];
    const message =
      /^swagpu evaluate: Cannot read .*weights\.bin as a part of .*: it leads to .*secret\.bin, and a file inside/;
    assertRefused(await runCli(evaluate, READ), 1, message);
    await Deno.remove(`${folder}/model/weights.bin`);
    await Deno.rename(`${folder}/secret.bin`, `${folder}/model/weights.bin`);
    assertEquals((await runJson(evaluate)).n, 23);
  });
});
