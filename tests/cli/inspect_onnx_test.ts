import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { withNode } from "../commands/onnx_task.ts";
import { resultOf } from "../commands/task.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { CHANNELS, encode, node, smallModel, STORES } from "../onnx/small_model.ts";
import { assertRefused, runCli, withFolder } from "./run_cli.ts";

const READ = { permissions: "--allow-read" };
const folded = fromFileUrl(new URL("../fixtures/checkpoints/net_folded.onnx", import.meta.url));

/** What `inspect --json` says. */
// deno-lint-ignore no-explicit-any
async function inspected(...args: string[]): Promise<any> {
  return resultOf(await runCli(["inspect", ...args, "--json"], READ));
}

Deno.test("inspect describes an ONNX network: operators, split, shapes, opset and the cost of a batch", async () => {
  await withFolder(async (folder) => {
    const onnx = `${folder}/mobilenet.onnx`;
    await Deno.writeFile(onnx, (await readOnnxFixture("mobilenet")).bytes);
    const [file] = (await inspected(onnx, "--batch-size", "4")).files;
    assertEquals([file.format, file.opset, file.parameters, file.statistics], ["ONNX", 14, 61522, 2480]);
    assertEquals([file.input, file.output], [
      { name: "input", shape: [null, 3, 32, 32] },
      { name: "output", shape: [null, 10] },
    ]);
    assertEquals([file.operators.Conv, file.operators.BatchNormalization, file.operators.Gemm], [52, 34, 2]);
    assertEquals([file.backbone.parameters, file.head.parameters, file.head.numClasses], [60232, 1290, 10]);
    assertEquals(file.tensors.length, 210);
    const [double] = (await inspected(onnx, "--batch-size", "8")).files;
    assertEquals(double.batch.forwardFlops, 2 * file.batch.forwardFlops);
    assert(
      file.batch.trainingFlops > 2.5 * file.batch.forwardFlops && file.batch.trainingBytes > file.batch.evaluationBytes,
    );
    const { stdout } = await runCli(["inspect", onnx, "--image-size", "64"], READ);
    assertMatch(stdout, /^ {2}head +Gemm \S+, 10 classes, 1290 parameters$/m);
    assertMatch(stdout, /^ {2}batch +64 images of 64x64$/m);
    const cost = (flops: number, bytes: number) =>
      `${(flops / 1e9).toPrecision(4)} GFLOP, ${(bytes / 2 ** 20).toFixed(1)} MiB of activations`;
    const { stdout: text } = await runCli(["inspect", onnx, "--batch-size", "4"], READ);
    const { forwardFlops, evaluationBytes, trainingFlops, trainingBytes } = file.batch;
    assertStringIncludes(text, `\n  evaluation     ${cost(forwardFlops, evaluationBytes)}\n`);
    assertStringIncludes(text, `\n  training step  ${cost(trainingFlops, trainingBytes)}\n`);

    // torchvision states 1.814 billion operations for 1000 classes; these are 10. Each is a multiplication and an addition.
    await Deno.writeFile(`${folder}/resnet18.onnx`, (await readOnnxFixture("resnet18")).bytes);
    const [known] = (await inspected(`${folder}/resnet18.onnx`, "--image-size", "224", "--batch-size", "1")).files;
    assertEquals(known.batch.forwardFlops, 2 * (1_814_073_344 - 990 * 512));
    assertEquals([known.parameters, known.statistics], [11_689_512 - 990 * 513, 9600]);

    // What cannot be trained is described as far as it goes.
    await Deno.writeFile(
      `${folder}/celu.onnx`,
      withNode(await Deno.readFile(onnx), "Relu", (node) => node.opType = "Celu"),
    );
    const [odd] = (await inspected(`${folder}/celu.onnx`)).files;
    assertEquals([odd.operators.Celu, odd.batch, odd.parameters], [1, undefined, 61522]);
    assertStringIncludes(odd.problem, "Cannot import the Celu node");
    const [net] = (await inspected(folded)).files;
    assertMatch(net.remarks.join(), /^BatchNorm is folded/);
    const model = smallModel();
    model.graph.initializer!.push(STORES.raw("onnx::Add_7", [CHANNELS, 1, 1], new Float32Array(CHANNELS)));
    model.graph.node!.push(node("Add", ["conv", "onnx::Add_7"], ["sum"]));
    model.graph.node![1].input![0] = "sum";
    await Deno.writeFile(`${folder}/worked_out.onnx`, encode(model));
    const [worked] = (await inspected(`${folder}/worked_out.onnx`)).files;
    // 64 pixels of 4 convolutions of 27 products each, and a linear layer from 4 features to 5 classes.
    assertEquals(worked.batch.forwardFlops, 64 * 2 * (64 * 4 * 27 + 4 * 5));
    assertMatch(worked.remarks.join(), /^tensors that the exporter worked out itself .*\(1, onnx::Add_7 the first\)/);
    await Deno.writeFile(`${folder}/cut.onnx`, (await Deno.readFile(onnx)).subarray(0, 4000));
    assertRefused(
      await runCli(["inspect", `${folder}/cut.onnx`], READ),
      1,
      /^swagpu inspect: Cannot import .*cut\.onnx: /,
    );
  });
});
