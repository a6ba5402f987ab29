import { assertAlmostEquals, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readNpy } from "../../lib/checkpoint/npy.ts";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { PredictionSession } from "../../lib/inference/prediction.ts";
import { DeviceModel } from "../../lib/models/device_model.ts";
import { weightsFromStateDict } from "../../lib/models/weights.ts";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { makeTask, resultOf, runJson } from "./task.ts";

const DATA = fromFileUrl(new URL("../../../shared/data", import.meta.url));
const present = await Deno.stat(`${DATA}/checkpoints`).then(() => true, () => false);

async function evaluate(encoder: string, file: string, flags: readonly string[] = []) {
  const args = ["evaluate", "--encoder", encoder, "--weights-path", `${DATA}/checkpoints/${file}`, ...flags];
  const data = ["--val-dataset", "cifar10", "--data-dir", `${DATA}/cifar10`, "--json"];
  return resultOf(await runCli([...args, ...data], { permissions: "--allow-read" }));
}

let resnet20: ReturnType<typeof evaluate> | undefined;
/** Metrics of the published ResNet-20, computed once. */
const evaluateResnet20 = () => resnet20 ??= evaluate("resnet20", "resnet20-12fca82f.th");

for (
  const [encoder, file, accuracy, nll] of [
    ["resnet20", "resnet20-12fca82f.th", 0.915, 0.3842],
    ["resnet56", "resnet56-4bfd9763.th", 0.926, 0.3596],
  ] as const
) {
  Deno.test({
    name: `evaluate reproduces PyTorch's accuracy and NLL of ${encoder} on CIFAR-10 (shared/data)`,
    ignore: !present,
    async fn() {
      const result = encoder === "resnet20" ? await evaluateResnet20() : await evaluate(encoder, file);
      assertEquals([result.n, result.accuracy], [1000, accuracy]);
      assertAlmostEquals(result.nll, nll, 1e-3);
      assertEquals(Number.isFinite(result.ece) && result.ece > 0 && result.ece < 0.1, true);
    },
  });
}

Deno.test({
  name:
    "evaluate --precision mixed gives PyTorch's accuracy and NLL of resnet20 up to the rounding of f16 (shared/data)",
  ignore: !present,
  async fn() {
    const result = await evaluate("resnet20", "resnet20-12fca82f.th", ["--precision", "mixed"]);
    // Logits differ by 1e-3 of their size: that may decide three images of a thousand otherwise.
    assertAlmostEquals(result.accuracy, 0.915, 0.0031);
    assertAlmostEquals(result.nll, 0.3842, 3e-3);
  },
});

Deno.test({
  name: "PredictionSession.logits() agrees with PyTorch's recorded ones of ResNet-20 within 1e-3 (shared/data)",
  ignore: !present,
  async fn() {
    const recorded = readNpy(await Deno.readFile(`${DATA}/checkpoints/resnet20_logits_test1000.npy`));
    const set = await loadDataset({ name: "cifar10", split: "test", dir: `${DATA}/cifar10` });
    const path = `${DATA}/checkpoints/resnet20-12fca82f.th`;
    using gpu = await openGpu();
    const model = new DeviceModel(gpu, { encoder: "resnet20", numClasses: 10, height: 32, width: 32 });
    const dict = await readCheckpoint(await Deno.readFile(path), path);
    model.write(weightsFromStateDict(model.layouts, dict, { head: "require", seed: 0 }));
    // 96 does not divide 1,000: the last batch holds 40.
    const session = await PredictionSession.create(model, { batchSize: 96, normalisation: NORMALISATIONS.imagenet });
    const logits = await session.logits(set);
    session.destroy();
    model.destroy();
    assertEquals([...recorded.shape], [1000, 10]);
    assertEquals(logits.length, recorded.data.length);
    let worst = 0;
    logits.forEach((value, i) => worst = Math.max(worst, Math.abs(value - Number(recorded.data[i]))));
    assertEquals(worst < 1e-3, true, `largest difference ${worst}`);
  },
});

Deno.test({
  name: "evaluate --laplace makes resnet20 less sure of itself, and no less right (shared/data)",
  ignore: !present,
  async fn() {
    const plain = await evaluateResnet20();
    // 4,000 training images; of 500 the posterior is so wide that the predictions are too cautious.
    const found = await evaluate("resnet20", "resnet20-12fca82f.th", ["--laplace", "kronecker"]);
    // Logits of unequal variance may change places: of a thousand images those of ten at most.
    assertAlmostEquals(found.accuracy, plain.accuracy, 0.0101);
    assertEquals([found.entropy > plain.entropy, found.nll < plain.nll, found.ece < plain.ece], [true, true, true]);
    // What README and tests/bench/results/laplace.md say, up to an image or two that rounding decides otherwise.
    assertAlmostEquals(found.nll, 0.2553, 1e-3);
    assertAlmostEquals(found.ece, 0.021, 2e-3);
    assertEquals([found.laplace.curvature, found.laplace.precision > 0], ["kronecker", true]);
  },
});

Deno.test("evaluate --laplace treats the training images as the others: one size, whole, also under --transforms original", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const args = [
      "evaluate",
      "--encoder",
      "resnet8_narrow",
      "--weights-path",
      task.checkpoint,
      "--data-dir",
      task.data,
    ];
    const original = [...args, "--transforms", "original", "--image-size", "40"];
    const plain = await runJson(original);
    // So stiff a prior leaves the network as it is.
    const stiff = await runJson([...original, "--laplace", "kronecker", "--laplace-precision", "1e12"]);
    assertEquals([stiff.n, stiff.accuracy], [23, plain.accuracy]);
    assertAlmostEquals(stiff.nll, plain.nll, 1e-5);

    const wrong = [...args, "--laplace", "diagonal", "--train-dataset", "procedural-source", "--quiet"];
    assertRefused(
      await runCli(wrong, { permissions: "--allow-read" }),
      1,
      /Cannot fit a last layer to .*: it has 24 classes, but the network tells 10 apart; --train-dataset/,
    );
  });
});
