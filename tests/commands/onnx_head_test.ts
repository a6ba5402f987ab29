/** Imported networks whose head cannot be told: what stands behind it is no layer that a search passes. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { distance } from "../onnx/compare.ts";
import { runOnnx } from "../onnx/runtime.ts";
import { withScaled, withTemperature, writeImages } from "./onnx_task.ts";
import { makeTask, manifestOf, resultOf, runJson, sampleHashes, stepsIn } from "./task.ts";

const READ = { permissions: "--allow-read" }, READ_WRITE = { permissions: "--allow-read --allow-write" };
const HEAD = ["--head", "/linear/Gemm"];
const INPUT = new Float32Array(3 * 32 * 32).map((_, i) => Math.sin(i));

async function logitsOf(file: Uint8Array | string): Promise<Float32Array> {
  return (await runOnnx(file, INPUT, [1, 3, 32, 32])).data;
}

Deno.test("--head names a head that cannot be told, for every command, and a run keeps it", async (test) => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), onnx = `${folder}/tempered.onnx`, run = `${folder}/run`, images = `${folder}/images`;
    const { bytes } = await readOnnxFixture("functional"), tempered = withTemperature(bytes, 0.5);
    await Deno.writeFile(onnx, tempered);
    await writeImages(images);
    const evaluate = ["evaluate", "--data-dir", task.data, "--onnx"];
    const downstream = ["--train-dataset", "imagefolder", "--data-dir", images, "--augmentation", "none"];
    const length = ["--batch-size", "4", "--max-steps", "4", "--n-samples", "2", "--checkpoint-steps", "3"];
    const infer = ["infer", "--onnx", onnx, ...downstream, ...length, "--prior-type", "isotropic", "--lr", "1e-3"];
    const convert = ["convert", "--in", onnx, "--out", `${folder}/again.onnx`];

    await test.step("without it, or with a wrong one, they name the candidates", async () => {
      const unknown = (command: string, why: string) =>
        new RegExp(
          `^swagpu ${command}: Cannot tell the head of .*: ${why}; name one .* with --head: .*, /linear/Gemm\\n$`,
        );
      const behind = "the Mul node temperature stands between it and the logits";
      assertRefused(await runCli([...evaluate, onnx], READ), 2, unknown("evaluate", behind));
      assertRefused(await runCli([...infer, "--out", run], READ_WRITE), 2, unknown("infer", behind));
      assertRefused(await runCli(convert, READ_WRITE), 2, unknown("convert", behind));
      const wrong = await runCli([...evaluate, onnx, "--head", "nobody"], READ);
      assertRefused(wrong, 2, unknown("evaluate", "it has no node nobody"));
    });

    await test.step("evaluate", async () => {
      // Halving is exact, wherever it is done.
      const halved = withScaled(bytes, ["linear.weight", "linear.bias"], 0.5);
      await Deno.writeFile(`${folder}/halved.onnx`, halved);
      const { nll, accuracy } = await runJson([...evaluate, onnx, ...HEAD]);
      const expected = await runJson([...evaluate, `${folder}/halved.onnx`]);
      assertEquals([nll, accuracy], [expected.nll, expected.accuracy]);
    });

    await test.step("inspect", async () => {
      const inspected = async (...flags: string[]) =>
        resultOf(await runCli(["inspect", onnx, ...flags, "--json"], READ)).files[0];
      const [without, found] = [await inspected(), await inspected(...HEAD)];
      assertEquals([without.head, without.batch], [undefined, undefined]);
      assertMatch(without.problem, /^Cannot tell the head of .*--head: .*, \/linear\/Gemm$/);
      assertEquals([found.problem, found.batch.images], [undefined, 64]);
      assertEquals(found.head, { node: "/linear/Gemm", operator: "Gemm", numClasses: 10, parameters: 330 });
    });

    await test.step("infer with a head of the task's classes, and --resume with the recorded one", async () => {
      const result = await runJson([...infer, ...HEAD, "--out", run]);
      assertEquals([result.samples, result.n], [2, 12]);
      const { classifier } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
      assertEquals([classifier.numClasses, classifier.onnx.head], [3, "/linear/Gemm"]);
      const wanted = sampleHashes(run), steps = stepsIn(run);
      await Deno.remove(`${run}/${manifestOf(run)[1].file}`);
      await runJson(["infer", "--resume", "--out", run]);
      assertEquals([sampleHashes(run), stepsIn(run)], [wanted, steps]);
    });

    await test.step("convert, of the file and of a sample", async () => {
      assertEquals((await runCli([...convert, ...HEAD], READ_WRITE)).code, 0);
      const original = await logitsOf(bytes);
      assert(distance(await logitsOf(`${folder}/again.onnx`), original.map((value) => value / 2)) < 1e-6);
      const sample = ["convert", "--run", run, "--out", `${folder}/sample.onnx`];
      assertEquals((await runCli(sample, READ_WRITE)).code, 0);
      assertEquals((await logitsOf(`${folder}/sample.onnx`)).length, 3);
    });
  });
});
