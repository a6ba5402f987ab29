/** Checkpoints and priors of imported networks whose names are not as a ResNet's: a ViT's begin with `encoder.` itself. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { writeTorch } from "../../lib/checkpoint/torch.ts";
import { readPrior } from "../../lib/priors/files.ts";
import type { HostTensor, StateDict } from "../../lib/tensor.ts";
import { assertRefused, namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { withNames } from "./onnx_task.ts";
import { makeTask, runJson, sampleHashes } from "./task.ts";

const READ = { permissions: "--allow-read" };
const READ_WRITE = { permissions: "--allow-read --allow-write" };

/** The ViT's weights, but for a position embedding of its own. */
async function vitWeights(bytes: Uint8Array): Promise<StateDict> {
  const state = await readCheckpoint(bytes, "vit.onnx", { keepPrefixes: true });
  const own = [...state].filter(([name]) => !name.startsWith("onnx::") && !/^\d+$/.test(name));
  return new Map(own.map(([name, tensor]): [string, HostTensor] => {
    if (name !== "encoder.pos_embedding") return [name, tensor];
    return [name, { ...tensor, bytes: undefined, data: (tensor.data as Float32Array).map((value) => value + 1) }];
  }));
}

Deno.test("--onnx of a ViT takes checkpoints with its own names, with wrappers' prefixes, and with some", async () => {
  await withFolder(async (folder) => {
    const { data } = makeTask(folder), { bytes } = await readOnnxFixture("vit");
    const onnx = `${folder}/vit.onnx`, weights = await vitWeights(bytes);
    await Deno.writeFile(onnx, bytes);
    const evaluate = ["evaluate", "--onnx", onnx, "--data-dir", data, "--weights-path"];
    const nllOf = async (name: string, value: StateDict) => {
      await Deno.writeFile(`${folder}/${name}`, writeTorch(value));
      return (await runJson([...evaluate, `${folder}/${name}`])).nll;
    };
    const renamed = (rename: (name: string) => string): StateDict =>
      new Map([...weights].map(([name, tensor]) => [rename(name), tensor]));
    const nll = await nllOf("own.pt", weights);
    assertNotEquals((await runJson(evaluate.slice(0, -1))).nll, nll);
    assertEquals(await nllOf("module.pt", renamed((name) => `module.${name}`)), nll);
    assertEquals(await nllOf("backbone.pt", renamed((name) => `backbone.${name}`)), nll);
    assertEquals(await nllOf("encoder.pt", renamed((name) => `encoder.${name}`)), nll);
    assertEquals(await nllOf("some.pt", renamed((name) => name.startsWith("conv") ? `module.${name}` : name)), nll);

    const lacking = new Map([...renamed((name) => `module.${name}`)].filter(([name]) => !/pos_embedding/.test(name)));
    await Deno.writeFile(`${folder}/lacking.pt`, writeTorch(lacking));
    const count = weights.size;
    assertRefused(
      await runCli([...evaluate, `${folder}/lacking.pt`], READ),
      1,
      new RegExp(`of ${count} tensors required and ${count - 1} found, 1 missing \\(encoder\\.pos_embedding\\)\\n`),
    );
  });
});

Deno.test("a prior of an imported ViT keeps its names in one file and in four, and gives the same samples", async () => {
  await withFolder(async (folder) => {
    const { data } = makeTask(folder), { bytes, gradients } = await readOnnxFixture("vit");
    const onnx = `${folder}/vit.onnx`, prior = `${folder}/vit.safetensors`;
    await Deno.writeFile(onnx, bytes);
    await Deno.writeFile(
      `${folder}/module.pt`,
      writeTorch(
        new Map([...await vitWeights(bytes)].map(([name, tensor]) => [`module.${name}`, tensor])),
      ),
    );
    const flags = ["--onnx", onnx, "--train-dataset", "cifar10", "--data-dir", data, "--batch-size", "8"];
    const from = ["--weights-path", `${folder}/module.pt`, "--max-steps", "5", "--n-samples", "3"];
    await runJson(["prior", ...flags, ...from, "--out", prior]);
    await runJson(["prior", ...flags, ...from, "--format", "parts", "--out", `${folder}/vit`]);
    const { parameters, swag } = readPrior(await Deno.readFile(prior));
    const backbone = gradients.filter(({ name }) => !name.startsWith("heads.head."));
    assertEquals(parameters, backbone.map(({ name, shape }) => ({ name, shape })));
    assert(swag.covFactor.length === 2);
    const infer = ["infer", ...flags, "--max-steps", "2", "--n-samples", "1"];
    await runJson([...infer, "--prior-path", prior, "--out", `${folder}/one`]);
    const parts = ["--prior-path", `${folder}/vit`, "--prior-normalisation", "normalised"];
    await runJson([...infer, ...parts, "--out", `${folder}/four`]);
    assertEquals(sampleHashes(`${folder}/four`), sampleHashes(`${folder}/one`));
  });
});

Deno.test("prior --format parts refuses statistics that are not named as PyTorch's, before it learns", async () => {
  await withFolder(async (folder) => {
    const { data } = makeTask(folder), { bytes } = await readOnnxFixture("functional");
    const onnx = `${folder}/other.onnx`;
    await Deno.writeFile(onnx, withNames(bytes, (name) => name.replace(/running_mean$/, "moving_mean")));
    const flags = ["--onnx", onnx, "--train-dataset", "cifar10", "--data-dir", data, "--batch-size", "8"];
    // More steps than any patience: the refusal does not wait for them.
    const prior = ["prior", ...flags, "--epochs", "1000000", "--format", "parts", "--out", `${folder}/p`];
    const before = namesIn(folder);
    const message =
      /^swagpu prior: Cannot write a prior as four files: .* parameter 21 would be bn1\.moving_mean, but it is none;/;
    assertRefused(await runCli(prior, READ_WRITE), 1, message);
    assertRefused(await runCli([...prior, "--dry-run"], READ), 1, message);
    assertEquals(namesIn(folder), before);
    await runJson(["prior", ...flags, "--max-steps", "3", "--n-samples", "2", "--out", `${folder}/p.safetensors`]);
  });
});
