/** Imported files whose weights are not quite their network's: exported in training mode, or with BatchNorm folded. */

import { assertEquals } from "@std/assert";
import { runCli, withFolder } from "../cli/run_cli.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { makeTask, resultOf, sampleHashes } from "./task.ts";

const READ = { permissions: "--allow-read" }, READ_WRITE = { permissions: "--allow-read --allow-write" };
const REMEDY = "tasks/torchvision_to_onnx.py exports it as it is";

Deno.test("inspect, evaluate and infer say that a file was exported in training mode, or folded", async () => {
  await withFolder(async (folder) => {
    const { data } = makeTask(folder);
    const write = async (name: string, graph = name) => {
      const path = `${folder}/${graph}.onnx`;
      await Deno.writeFile(path, (await readOnnxFixture(name, graph)).bytes);
      return path;
    };
    /** What is said on stderr by two steps of infer, and their samples. */
    const sampled = async (onnx: string) => {
      const task = ["--onnx", onnx, "--train-dataset", "cifar10", "--data-dir", data, "--batch-size", "8"];
      const steps = ["--prior-type", "isotropic", "--max-steps", "2", "--n-samples", "1", "--out", `${onnx}.run`];
      const { code, stderr } = await runCli(["infer", ...task, ...steps], READ_WRITE);
      assertEquals(code, 0, stderr);
      return { said: stderr.split("\n")[0], samples: sampleHashes(`${onnx}.run`) };
    };
    const assertSaid = async (onnx: string, line: string) => {
      assertEquals(resultOf(await runCli(["inspect", onnx, "--json"], READ)).files[0].remarks, [line]);
      const { code, stderr } = await runCli(["evaluate", "--onnx", onnx, "--data-dir", data], READ);
      const own = await sampled(onnx), expected = `${onnx.slice(folder.length + 1)}: ${line}`;
      assertEquals([code, stderr.split("\n")[0], own.said], [0, expected, expected]);
      return own.samples;
    };

    const training = await write("functional", "functional_training12");
    const moved = `it was exported in training mode, which moved every running statistic by one step; ${REMEDY}`;
    const samples = await assertSaid(training, moved);
    // No dropout, and each pass in its own mode: it trains as the file does that was exported as the network is.
    const kept = await sampled(await write("functional"));
    assertEquals([kept.samples, kept.said.includes("exported")], [samples, false]);

    const differs = "BatchNorm is folded into convolutions, which train as such, with biases: not as the network does";
    await assertSaid(await write("folded"), `${differs}; ${REMEDY}`);
  });
});
