import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { layoutModel } from "../../lib/models/device_model.ts";
import { writeOnnx } from "../../lib/models/export.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { openOnnx } from "../../tasks/commands/onnx_file.ts";
import { NORMALISATION } from "../onnx/runtime.ts";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { makeTask, runJson, TINY } from "./task.ts";

const READ_WRITE = { permissions: "--allow-read --allow-write" };

Deno.test("a network that normalises its images itself is given them as they are, by every command", async () => {
  await withFolder(async (folder) => {
    const { data } = makeTask(folder), weights = initialWeights(layoutModel(TINY), 3);
    const plain = `${folder}/plain.onnx`, own = `${folder}/own.onnx`, again = `${folder}/again.onnx`;
    Deno.writeFileSync(plain, writeOnnx(TINY, weights).model);
    const options = { normalisation: NORMALISATION, normaliseInput: true };
    Deno.writeFileSync(own, writeOnnx(TINY, weights, options).model);
    const set = ["--val-dataset", "cifar10", "--data-dir", data, "--batch-size", "8"];
    const evaluate = (path: string) => ["evaluate", "--onnx", path, ...set];

    const [expected, found] = [await runJson(evaluate(plain)), await runJson(evaluate(own))];
    assertAlmostEquals(found.nll, expected.nll, 1e-5);
    const refused = await runCli([...evaluate(own), "--normalisation", "cifar10"], READ_WRITE);
    assertRefused(refused, 2, /Cannot use --normalisation cifar10: .*own\.onnx normalises its images itself/);
    const { stderr } = await runCli(evaluate(own), READ_WRITE);
    assertMatch(stderr, /^own\.onnx: it normalises its images itself: nothing is done to them before\n$/);

    await runJson(["convert", "--in", own, "--out", again]);
    assertAlmostEquals((await runJson(evaluate(again))).nll, expected.nll, 1e-5);
    for (const flags of [["--normalise-input"], ["--normalise-input", "--normalisation", "imagenet"]]) {
      const more = await runCli(["convert", "--in", own, "--out", `${folder}/more.onnx`, ...flags], READ_WRITE);
      assertRefused(more, 2, /Cannot use --normalise-input: the network of own\.onnx normalises its images itself/);
    }

    // A run records how its images were normalised: not at all.
    const run = `${folder}/run`, training = ["--train-dataset", "cifar10", "--data-dir", data, "--batch-size", "8"];
    const priorless = ["--prior-type", "isotropic", "--max-steps", "2", "--n-samples", "1", "--lr", "1e-4"];
    await runJson(["infer", "--onnx", own, ...training, ...priorless, "--out", run]);
    const { normalisation } = JSON.parse(Deno.readTextFileSync(`${run}/config.json`));
    assertEquals(normalisation, { mean: [0, 0, 0], std: [1, 1, 1] });
    await runJson(["convert", "--run", run, "--out", `${folder}/sample.onnx`]);
    const { network: { model } } = await openOnnx(`${folder}/sample.onnx`);
    assertEquals(model.normalisation, { mean: [...NORMALISATION.mean], std: [...NORMALISATION.std] });
    assert(Number.isFinite((await runJson(["evaluate", "--run", run, ...set.slice(0, 4)])).nll));
  });
});
