import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { readNpz } from "../../lib/checkpoint/npy.ts";
import { readSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { readPrior } from "../../lib/priors/files.ts";
import { writePriorParts } from "../../lib/priors/parts.ts";
import { namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import {
  cifarRecords,
  makeTask,
  manifestOf,
  resultOf,
  runJson,
  sampleHashes,
  stepsIn,
  taskFlags,
  tinyPrior,
} from "./task.ts";

const PYTHON = "/usr/bin/python3";
const hasNumpy = await new Deno.Command(PYTHON, { args: ["-c", "import numpy"], stdout: "null", stderr: "null" })
  .output().then(({ success }) => success, () => false);

/** The metrics of a data set, without what only one of the commands reports. */
// deno-lint-ignore no-explicit-any
function metricsOf({ accuracy, nll, ece, brier, entropy, mutualInformation, n }: any) {
  return { accuracy, nll, ece, brier, entropy, mutualInformation, n };
}

async function fileHash(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function checkRun(run: string, task: { readonly prior: string }): Promise<void> {
  assertEquals(namesIn(run), ["checkpoint", "config.json", "metrics.json", "metrics.jsonl", "predictions", "samples"]);
  const config = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
  assertEquals([config.command, config.flags.priorPath, config.flags.seed], ["infer", task.prior, 1]);
  assertEquals([config.data.numTrain, config.batchSize, config.classNames.length], [40, 8, 10]);
  assert(typeof config.adapter.description === "string" && /^swagpu \d/.test(config.software));
  for (const value of [config.data.train, config.data.val, config.data.weights, config.data.prior]) {
    assert(typeof value === "string" && value.length >= 8);
  }
  const manifest = manifestOf(run);
  assertEquals(namesIn(`${run}/samples`), [...manifest.map(({ file }) => file.split("/")[1]), "manifest.json"]);
  for (const { file, sha256, step, logPrior } of manifest) {
    const bytes = await Deno.readFile(`${run}/${file}`);
    assertEquals(await fileHash(`${run}/${file}`), sha256);
    const { tensors, metadata } = readSafetensors(bytes);
    assertEquals([metadata.step, tensors.has("linear.weight")], [String(step), true]);
    assert(Number.isFinite(logPrior));
    for (const { data } of tensors.values()) assert((data as Float32Array).every(Number.isFinite));
  }
}

Deno.test("prior, infer and evaluate --run do the main job through files", async (test) => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const flags = taskFlags(task);
    const prior = `${folder}/learned.safetensors`, parts = `${folder}/learned`, run = `${folder}/run`;
    const learn = ["prior", ...flags, "--weights-path", task.checkpoint, "--max-steps", "8", "--n-samples", "4"];

    await test.step("prior writes a prior that states where it comes from", async () => {
      const result = await runJson([...learn, "--max-rank", "3", "--out", prior]);
      assertEquals([result.out, result.steps, result.snapshots, result.rank], [prior, 8, 4, 3]);
      assertEquals([result.parameters, Number.isFinite(result.loss), result.seconds > 0], [18888, true, true]);
      const { swag, metadata } = readPrior(await Deno.readFile(prior));
      assertEquals([metadata.architecture, metadata.source], ["resnet8_narrow", "init.safetensors"]);
      assertEquals(metadata.sourceSha256, await fileHash(task.checkpoint));
      assert(swag.variance.every((value) => value >= 1e-6 * (1 - 1e-6)));
      assert(swag.covFactor.every((row) => row.some((value) => value !== 0)));
    });

    const infer = ["infer", ...flags, "--max-steps", "6", "--n-samples", "3"];
    // deno-lint-ignore no-explicit-any
    let result: any;
    await test.step("infer writes settings, metrics, samples and predictions", async () => {
      result = await runJson([...infer, "--prior-path", prior, "--out", run]);
      assertEquals([result.out, result.steps, result.samples, result.n], [run, 6, 3, 23]);
      await checkRun(run, { prior });
      assertEquals(stepsIn(run), ["0:0", "0:1", "0:2", "0:3", "0:4", "0:5"]);
    });

    await test.step("evaluate --run reports what infer reported", async () => {
      const written = JSON.parse(await Deno.readTextFile(`${run}/metrics.json`));
      const evaluated = await runJson(["evaluate", "--run", run, "--val-dataset", "cifar10", "--data-dir", task.data]);
      assertEquals(metricsOf(evaluated), metricsOf(result));
      assertEquals(metricsOf(written), metricsOf(result));
      assertEquals(evaluated.samples, 3);
    });

    await test.step("the predictions are those that the metrics count", async () => {
      const arrays = readNpz(await Deno.readFile(`${run}/predictions/val.npz`));
      const probabilities = arrays.get("probabilities")!, labels = arrays.get("labels")!;
      assertEquals([[...probabilities.shape], [...labels.shape]], [[23, 10], [23]]);
      let right = 0, nll = 0;
      for (let i = 0; i < 23; i++) {
        const row = Array.from(probabilities.data.subarray(10 * i, 10 * i + 10), Number);
        const label = Number(labels.data[i]);
        assert(Math.abs(row.reduce((sum, value) => sum + value, 0) - 1) < 1e-9);
        right += row.indexOf(Math.max(...row)) === label ? 1 : 0;
        nll -= Math.log(row[label]) / 23;
      }
      assertEquals(right / 23, result.accuracy);
      assert(Math.abs(nll - result.nll) < 1e-9);
    });

    await test.step({
      name: "numpy opens the predictions",
      ignore: !hasNumpy,
      async fn() {
        const script = "import numpy, sys; a = numpy.load(sys.argv[1]); " +
          "print(a['probabilities'].shape, a['probabilities'].dtype, a['labels'].shape, sorted(a.files), " +
          "-numpy.log(a['probabilities'][numpy.arange(23), a['labels']]).mean())";
        const { stdout } = await new Deno.Command(PYTHON, { args: ["-c", script, `${run}/predictions/val.npz`] })
          .output();
        const text = new TextDecoder().decode(stdout);
        const stated = "(23, 10) float64 (23,) ['entropy', 'labels', 'mutual_information', 'probabilities'] ";
        assert(text.startsWith(stated), text);
        assert(Math.abs(Number(text.slice(stated.length)) - result.nll) < 1e-9, text);
      },
    });

    await test.step("prior --format parts gives the same samples bit for bit", async () => {
      await runJson([...learn, "--max-rank", "3", "--format", "parts", "--out", parts]);
      assertEquals(
        namesIn(folder).filter((name) => name.startsWith("learned_")),
        ["covmat", "mean", "model", "variance"].map((part) => `learned_${part}.pt`),
      );
      const flags = ["--prior-normalisation", "normalised", "--prior-path", parts, "--out", `${folder}/run2`];
      await runJson([...infer, ...flags]);
      assertEquals(sampleHashes(`${folder}/run2`), sampleHashes(run));
    });
  });
});

Deno.test("infer --chains 2 gives two chains that differ, each once in the metrics", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), run = `${folder}/run`;
    const args = ["infer", ...taskFlags(task), "--prior-path", task.prior, "--max-steps", "4", "--n-samples", "2"];
    const result = await runJson([...args, "--chains", "2", "--out", run]);
    assertEquals([result.samples, result.steps], [4, 8]);
    const manifest = manifestOf(run);
    assertEquals(manifest.map(({ chain, step }) => `${chain}:${step}`), ["0:2", "0:3", "1:2", "1:3"]);
    assertEquals(new Set(manifest.map(({ sha256 }) => sha256)).size, 4);
    assertEquals(stepsIn(run), ["0:0", "0:1", "0:2", "0:3", "1:0", "1:1", "1:2", "1:3"]);
    assert(result.mutualInformation > 0);
  });
});

Deno.test("infer --compat runs and samples something else than the default", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const args = ["infer", ...taskFlags(task), "--prior-path", task.prior, "--max-steps", "2", "--n-samples", "1"];
    const sampler = ["--sampler", "sgld", "--lr", "1e-4"];
    await runJson([...args, ...sampler, "--out", `${folder}/correct`]);
    await runJson([...args, ...sampler, "--compat", "--out", `${folder}/compat`]);
    assertNotEquals(sampleHashes(`${folder}/compat`), sampleHashes(`${folder}/correct`));
  });
});

Deno.test("infer and convert report how they take the rows of the original's four files", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), { swag, ...rest } = tinyPrior(), permissions = "--allow-read --allow-write";
    for (const [name, total] of [["normalised", 1], ["raw", 4]] as const) {
      // Squares that sum to the variance, or to K - 1 times it.
      const row = (sign: number) => swag.variance.map((value, p) => (p % 2 ? sign : 1) * Math.sqrt(total * value / 5));
      const parts = writePriorParts({ ...rest, swag: { ...swag, covFactor: [1, -1, 1, 1, -1].map(row) } });
      const prefix = `${folder}/${name}`;
      for (const [part, bytes] of Object.entries(parts)) Deno.writeFileSync(`${prefix}_${part}.pt`, bytes);
      const said = new RegExp(
        `${name}_covmat\\.pt: by their size, the rows are ${total === 4 ? "not " : ""}divided by`,
      );
      const infer = ["infer", ...taskFlags(task), "--prior-path", prefix, "--dry-run", "--out", `${folder}/run`];
      assertMatch((await runCli(infer, { permissions })).stderr, said);
      const told = await runCli([...infer, "--prior-normalisation", name], { permissions });
      assertEquals([told.code, told.stderr.includes("covmat")], [0, false]);
      const convert = ["convert", "--in", prefix, "--out", `${folder}/${name}.safetensors`];
      assertMatch((await runCli(convert, { permissions })).stdout, said);
      const { normalisation } = resultOf(await runCli([...convert, "--force", "--json"], { permissions }));
      assertEquals(normalisation, name);
    }
  });
});

Deno.test("infer and prior --dry-run print the memory plan and write nothing", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const before = namesIn(folder);
    const plans = [
      ["infer", ...taskFlags(task), "--prior-path", task.prior, "--out", `${folder}/run`],
      ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, "--out", `${folder}/p.safetensors`],
    ];
    for (const args of plans) {
      // No permission to write: a plan needs none.
      const done = await runCli([...args, "--dry-run", "--json"], { permissions: "--allow-read" });
      const { out, total, activations, activationsLowerBound, parameters, gradients } = resultOf(done);
      assertEquals(out, null);
      assert(gradients >= 4 * 18888 && parameters > gradients && activations >= activationsLowerBound);
      assert(total >= activations + gradients + parameters);
      const again = await runCli([...args, "--dry-run", "--json", "--recompute"], { permissions: "--allow-read" });
      assert(resultOf(again).activations < activations);
      const text = await runCli([...args, "--dry-run"], { permissions: "--allow-read" });
      assertEquals(text.stdout.includes("activations"), true);
      assertEquals(namesIn(folder), before);
    }
  });
});

Deno.test("infer trains where the data are fewer than a batch", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    Deno.writeFileSync(`${task.data}/data_batch_1.bin`, cifarRecords(5, 1));
    const args = ["infer", ...taskFlags(task), "--weights-path", task.checkpoint, "--prior-type", "isotropic"];
    const result = await runJson([...args, "--epochs", "3", "--n-samples", "1", "--out", `${folder}/run`]);
    assertEquals([result.steps, result.samples, result.n], [3, 1, 23]);
    assertEquals(stepsIn(`${folder}/run`), ["0:0", "0:1", "0:2"]);
  });
});
