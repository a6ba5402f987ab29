/**
 * Networks that normalise their images themselves, written and read back.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { onnxProto } from "../../lib/deps.ts";
import { FormatError } from "../../lib/errors.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { writeOnnx } from "../../lib/models/export.ts";
import { onnxNetworkOf } from "../../lib/models/network.ts";
import type { Weights } from "../../lib/models/weights.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { workedOutOperands } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { gpuTests } from "../gpu/harness.ts";
import { distance } from "./compare.ts";
import { inputOf, NORMALISATION, ownLogits, randomImages, runOnnx, unevenWeights } from "./runtime.ts";

const { ModelProto } = onnxProto.onnx;
const gpuTest = gpuTests();
const CONFIG: ClassifierConfig = { encoder: "resnet8_narrow", numClasses: 10, height: 32, width: 32 };
const SHAPE = [5, 3, 32, 32];
const AS_THEY_ARE = { mean: [0, 0, 0], std: [1, 1, 1] } as const;

function normalising(config: ClassifierConfig, weights: Weights, fold = false): Uint8Array {
  return writeOnnx(config, weights, { fold, normalisation: NORMALISATION, normaliseInput: true }).model;
}

async function networkOf(file: Uint8Array) {
  return onnxNetwork(await readOnnxModel(file, "FILE"));
}

gpuTest("a file that normalises its images gives our logits, is read as such, and gives them again", async (gpu) => {
  const weights = unevenWeights(CONFIG), set = randomImages(5, CONFIG);
  const own = await ownLogits(gpu, CONFIG, weights, set);
  for (const fold of [false, true]) {
    const { data } = await runOnnx(normalising(CONFIG, weights, fold), inputOf(set), SHAPE);
    assert(distance(data, own) < 1e-4);
  }
  const file = normalising(CONFIG, weights), network = await networkOf(file);
  assertEquals(network.model.normalisation, { mean: [...NORMALISATION.mean], std: [...NORMALISATION.std] });
  const imported = { ...CONFIG, network };
  assert(distance(await ownLogits(gpu, imported, weights, set, AS_THEY_ARE), own) < 1e-4);

  // Written once more, it is the same network, whatever is said of the normalisation before it.
  const again = writeOnnx(imported, weights, { normalisation: AS_THEY_ARE }).model;
  assertEquals((await runOnnx(again, inputOf(set), SHAPE)).data, (await runOnnx(file, inputOf(set), SHAPE)).data);
  assertEquals((await networkOf(again)).model.normalisation, network.model.normalisation);
  assertThrows(() => normalising(imported, weights), RangeError, "the network normalises its images itself");
});

gpuTest("a file whose names those of the normalisation would be is normalised under others", async (gpu) => {
  const weights = unevenWeights(CONFIG), set = randomImages(5, CONFIG);
  const stripped = ModelProto.decode(normalising(CONFIG, weights));
  stripped.metadataProps = [];
  const network = await networkOf(new Uint8Array(ModelProto.encode(stripped).finish()));
  assertEquals(network.model.normalisation, undefined);
  const twice = normalising({ ...CONFIG, network }, weights);
  const outputs = ModelProto.decode(twice).graph!.node!.flatMap(({ output }) => output!);
  assertEquals(new Set(outputs).size, outputs.length);
  const own = await ownLogits(gpu, { ...CONFIG, network }, weights, set);
  assert(distance((await runOnnx(twice, inputOf(set), SHAPE)).data, own) < 1e-4);
});

Deno.test("readOnnxModel() refuses metadata that state a normalisation without its numbers", async () => {
  for (const [key, value] of [["image_std", ""], ["image_mean", "0,1"], ["image_mean", "a,b,c"]]) {
    const model = ModelProto.decode(normalising(CONFIG, unevenWeights(CONFIG)));
    model.metadataProps!.find((entry) => entry.key === key)!.value = value;
    await assertRejects(
      () => readOnnxModel(new Uint8Array(ModelProto.encode(model).finish()), "FILE"),
      FormatError,
      `Cannot import FILE: its metadata say that it normalises its images itself, but ${key} is "${value}"`,
    );
  }
});

Deno.test("what is done to the images in our own files is not taken for tensors that an export made of weights", async () => {
  const { model } = await networkOf(normalising(CONFIG, unevenWeights(CONFIG)));
  assertEquals(workedOutOperands(model), []);
  for (const encoder of ["googlenet", "inception_v3"]) {
    const { model } = onnxNetworkOf({ ...CONFIG, encoder, height: 299, width: 299 })!;
    assertEquals(workedOutOperands(model), []);
    assert(model.nodes.some(({ name }) => name.startsWith("transform_input")));
  }
});
