/** The main job with a network of torchvision's by its name, and with an ONNX file where a name was once required. */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { writeTorch } from "../../lib/checkpoint/torch.ts";
import type { ClassifierConfig } from "../../lib/models/network.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights, stateDictFromWeights } from "../../lib/models/weights.ts";
import { readPrior } from "../../lib/priors/files.ts";
import type { StateDict } from "../../lib/tensor.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { makeTask, manifestOf, runJson, type Task } from "./task.ts";

const READ = { permissions: "--allow-read" }, READ_WRITE = { permissions: "--allow-read --allow-write" };
const NAMED: ClassifierConfig = { encoder: "squeezenet1_1", numClasses: 10, height: 32, width: 32 };

/** Flags of the network and of the task's images, as they are. */
function flagsOf({ data }: Task, network: readonly string[]): string[] {
  const images = ["--train-dataset", "cifar10", "--data-dir", data, "--transforms", "plain"];
  return [...network, ...images, "--batch-size", "8"];
}

/** A `.pth` file of fresh weights, and what it holds. */
async function writeCheckpoint(path: string): Promise<StateDict> {
  const layouts = layoutModel(NAMED), dict = stateDictFromWeights(layouts, initialWeights(layouts, 3));
  await Deno.writeFile(path, writeTorch(dict));
  return dict;
}

Deno.test("a SqueezeNet by its name: a .pth file becomes a prior, which is sampled, evaluated and exported", async (test) => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), checkpoint = `${folder}/squeezenet.pth`, run = `${folder}/run`;
    const prior = `${folder}/squeezenet.safetensors`, network = ["--encoder", NAMED.encoder];
    const dict = await writeCheckpoint(checkpoint);

    await test.step("prior", async () => {
      const learn = ["prior", ...flagsOf(task, network), "--weights-path", checkpoint, "--max-steps", "4"];
      const result = await runJson([...learn, "--n-samples", "2", "--max-rank", "2", "--out", prior]);
      assertEquals([result.steps, result.snapshots, result.parameters], [4, 2, 722_496]);
      const { parameters, metadata } = readPrior(await Deno.readFile(prior));
      assertEquals(metadata.architecture, NAMED.encoder);
      const backbone = [...dict].filter(([name]) => !name.startsWith("classifier."));
      assertEquals(parameters, backbone.map(([name, { shape }]) => ({ name, shape: [...shape] })));
    });

    await test.step("infer and evaluate", async () => {
      const infer = ["infer", ...flagsOf(task, network), "--prior-path", prior, "--max-steps", "4", "--n-samples", "2"];
      const result = await runJson([...infer, "--lr", "1e-4", "--out", run]);
      assertEquals([result.samples, result.steps, result.n], [2, 4, 23]);
      assertEquals(JSON.parse(await Deno.readTextFile(`${run}/config.json`)).classifier, {
        ...NAMED,
        smallStem: false,
      });
      assertEquals(new Set(manifestOf(run).map(({ sha256 }) => sha256)).size, 2);
      const again = await runJson(["evaluate", "--run", run, "--val-dataset", "cifar10", "--data-dir", task.data]);
      assertEquals([again.accuracy, again.nll], [result.accuracy, result.nll]);
    });

    await test.step("convert, to ONNX and back", async () => {
      const onnx = `${folder}/squeezenet.onnx`, back = `${folder}/back.safetensors`;
      const convert = async (...args: string[]) =>
        assertEquals((await runCli(["convert", ...args], READ_WRITE)).code, 0);
      await convert("--in", checkpoint, ...network, "--out", onnx);
      await convert("--in", onnx, "--out", back);
      const found = await readCheckpoint(await Deno.readFile(back), back);
      assertEquals([...found.keys()], [...dict.keys()]);
      for (const [name, { data }] of dict) assertEquals(found.get(name)!.data, data, name);
    });

    await test.step("a last layer that the logits are averages of has no Laplace posterior", async () => {
      const evaluate = [
        "evaluate",
        ...network,
        "--weights-path",
        checkpoint,
        "--transforms",
        "plain",
        "--laplace",
        "diagonal",
      ];
      const refused = await runCli([...evaluate, "--val-dataset", "cifar10", "--data-dir", task.data], READ);
      assertRefused(
        refused,
        2,
        /--laplace with squeezenet1_1: its last layer is the Conv node classifier\.1; a linear layer/,
      );
    });
  });
});

Deno.test("an ONNX file's network learns a prior without labels, and has a posterior of its last layer", async (test) => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), onnx = `${folder}/functional.onnx`, prior = `${folder}/functional.safetensors`;
    const { bytes, gradients } = await readOnnxFixture("functional");
    await Deno.writeFile(onnx, bytes);

    await test.step("prior --objective simclr", async () => {
      const small = ["--proj-hidden-dim", "8", "--proj-output-dim", "4", "--knn-every", "1"];
      const learn = ["prior", "--objective", "simclr", ...flagsOf(task, ["--onnx", onnx]), ...small];
      const result = await runJson([
        ...learn,
        "--max-steps",
        "5",
        "--n-samples",
        "2",
        "--max-rank",
        "2",
        "--out",
        prior,
      ]);
      assertEquals([result.steps, result.snapshots, result.evaluations.length > 0], [5, 2, true]);
      const backbone = gradients.filter(({ name }) => !name.startsWith("linear."));
      const { parameters, swag } = readPrior(await Deno.readFile(prior));
      assertEquals(parameters, backbone.map(({ name, shape }) => ({ name, shape })));
      // Features are what the head reads: each layer before it has learned.
      const learned = backbone.map(({ name }, index) => {
        const offset = backbone.slice(0, index).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
        return { name, moved: swag.covFactor.some((row) => row[offset] !== 0) };
      });
      assert(learned.every(({ moved }) => moved));
    });

    await test.step("evaluate --laplace", async () => {
      const evaluate = ["evaluate", "--onnx", onnx, "--val-dataset", "cifar10", "--data-dir", task.data];
      const plain = await runJson(evaluate);
      // So stiff a prior leaves the network as it is.
      const stiff = await runJson([...evaluate, "--laplace", "kronecker", "--laplace-precision", "1e12"]);
      assertAlmostEquals(stiff.nll, plain.nll, 1e-4 * plain.nll);
      const soft = await runJson([...evaluate, "--laplace", "diagonal", "--laplace-precision", "1e-2"]);
      assert(soft.entropy > plain.entropy);
    });
  });
});
