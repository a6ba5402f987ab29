/**
 * Exported classifiers against ONNX Runtime and against our own reader.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { readOnnxWeights } from "../../lib/checkpoint/onnx.ts";
import { onnxProto } from "../../lib/deps.ts";
import { FormatError } from "../../lib/errors.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { type OnnxExportOptions, writeOnnx } from "../../lib/models/export.ts";
import { initialWeights, stateDictFromWeights, type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import type { OnnxModel, OnnxNode } from "../../lib/onnx/model.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { gpuTests } from "../gpu/harness.ts";
import { distance } from "./compare.ts";
import {
  CLASSES,
  encode,
  FLOAT,
  FLOAT16,
  imageInput,
  integers,
  type Model,
  node,
  SIZE,
  smallModel,
  STORES,
} from "./small_model.ts";
import { inputOf, NORMALISATION, ownLogits, randomImages, runOnnx, unevenWeights } from "./runtime.ts";

const gpuTest = gpuTests();
const CIFAR = { numClasses: 10, height: 32, width: 32 };
const IMPORTED = [
  "functional",
  "densenet",
  "squeezenet",
  "shufflenet",
  "mobilenet",
  "convnext",
  "efficientnet",
  "vit",
  "swin",
  "pieces",
];

/** Nodes of a file by operator. */
function operatorsIn(file: Uint8Array): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { opType } of onnxProto.onnx.ModelProto.decode(file).graph!.node!) {
    counts[opType!] = (counts[opType!] ?? 0) + 1;
  }
  return counts;
}

function exported(config: ClassifierConfig, weights: Weights, options: OnnxExportOptions = {}): Uint8Array {
  const { model, data } = writeOnnx(config, weights, options);
  assertEquals(data, undefined);
  return model;
}

/** An imported fixture, as a classifier of as many classes. */
async function imported(name: string, numClasses = 10): Promise<{ config: ClassifierConfig; weights: Weights }> {
  const { bytes, size } = await readOnnxFixture(name);
  const network = onnxNetwork(await readOnnxModel(bytes, name));
  const config = { encoder: name, network, numClasses, height: size, width: size };
  const found = weightsOf(network.model, network.head);
  return { config, weights: weightsFromStateDict(layoutModel(config), found, { head: "fresh", seed: 4 }) };
}

/** Networks with weights. */
async function classifier(name: string) {
  if (IMPORTED.includes(name)) return await imported(name);
  const config = { encoder: name, ...CIFAR };
  return { config, weights: unevenWeights(config) };
}

for (const name of ["resnet20", "resnet8_projection", "resnet18", "resnext50_32x4d", ...IMPORTED]) {
  gpuTest(`writeOnnx() of ${name}: ONNX Runtime gives our logits, kept and folded`, async (gpu) => {
    const { config, weights } = await classifier(name);
    const set = randomImages(3, config), shape = [3, 3, config.height, config.width];
    const own = await ownLogits(gpu, config, weights, set);
    for (const fold of [false, true]) {
      const file = exported(config, weights, { fold });
      const found = await runOnnx(file, inputOf(set, NORMALISATION), shape);
      assertEquals(found.shape, [3, 10]);
      const error = distance(found.data, own);
      assert(error < 1e-4, `the logits${fold ? " folded" : ""} differ by ${error}`);
    }
  });
}

/** The model with a dropout behind each rectifier and behind its logits. */
function withDropout(model: OnnxModel): OnnxModel {
  const dropped = [...model.nodes.filter(({ operator }) => operator === "Relu").flatMap(({ outputs }) => outputs)];
  const dropout = (value: string): OnnxNode => (
    { name: `${value}.drop`, operator: "Dropout", inputs: [value], outputs: [`${value}.drop`], attributes: new Map() }
  );
  const nodes = model.nodes.flatMap((node) => [
    { ...node, inputs: node.inputs.map((name) => dropped.includes(name) ? `${name}.drop` : name) },
    ...node.outputs.filter((name) => dropped.includes(name) || name === model.output).map(dropout),
  ]);
  assert(nodes.length > model.nodes.length + 1);
  return { ...model, nodes, output: `${model.output}.drop` };
}

gpuTest("writeOnnx() makes a network for inference of one that was exported in training mode", async (gpu) => {
  const name = "net_training.onnx";
  const file = Deno.readFileSync(new URL(`../fixtures/checkpoints/${name}`, import.meta.url));
  const network = onnxNetwork(withDropout(await readOnnxModel(file, name)));
  const numClasses = network.head.numClasses, config = { encoder: name, network, numClasses, height: 4, width: 4 };
  const found = weightsOf(network.model, network.head);
  const weights = weightsFromStateDict(layoutModel(config), found, { head: "require", seed: 0 });
  const set = randomImages(1, config), own = await ownLogits(gpu, config, weights, set);
  for (const fold of [false, true]) {
    const bytes = exported(config, weights, { fold });
    const { data } = await runOnnx(bytes, inputOf(set, NORMALISATION), [1, 3, 4, 4]);
    assert(distance(data, own) < 1e-4);
    assertEquals(operatorsIn(bytes).Dropout, undefined);
    assertEquals(operatorsIn(bytes).BatchNormalization, fold ? undefined : 1);
  }
});

gpuTest("writeOnnx() puts a head of other classes into an imported network", async (gpu) => {
  for (const name of ["squeezenet", "mobilenet"]) {
    const { config, weights } = await imported(name, 7);
    const set = randomImages(2, config), own = await ownLogits(gpu, config, weights, set);
    const found = await runOnnx(exported(config, weights), inputOf(set, NORMALISATION), [2, 3, 32, 32]);
    assertEquals(found.shape, [2, 7]);
    assert(distance(found.data, own) < 1e-4);
  }
});

Deno.test("writeOnnx() folds every normalisation that follows a convolution, and no other", async () => {
  const counts: Record<string, readonly [kept?: number, folded?: number]> = {};
  for (const name of ["resnet20", "resnet18", "densenet", "mobilenet"]) {
    const { config, weights } = await classifier(name);
    counts[name] = [false, true].map((fold) => operatorsIn(exported(config, weights, { fold })).BatchNormalization) as [
      number,
      number,
    ];
  }
  assertEquals(counts, {
    resnet20: [19, undefined],
    resnet18: [20, undefined],
    // Before activation: the first normalisation of each of four layers, a transition's and the last.
    densenet: [11, 6],
    mobilenet: [34, undefined],
  });
});

/** The small classifier as a file of half precision has it: stored so, between casts. */
function halfModel(): Model {
  const model = smallModel(17, STORES.half), { graph } = model;
  graph.node![0].input![0] = "narrow_images";
  graph.node!.splice(-1, 1, node("Gemm", ["features", "fc.weight", "fc.bias"], ["narrow_logits"], { transB: 1 }));
  const [narrow, wide] = [10, 1].map((to, i) =>
    node("Cast", [["images", "narrow_logits"][i]], [["narrow_images", "logits"][i]], { to })
  );
  graph.node = [narrow, ...graph.node!, wide];
  return model;
}

/** The small classifier as `model.half()` is exported: its images are of half precision as well. */
function wholeHalfModel(): Model {
  const model = smallModel(17, STORES.half);
  model.graph.input = [imageInput(["batch", 3, SIZE, SIZE], FLOAT16)];
  return model;
}

/** The small classifier with its weights stored in half precision and cast before they are used. */
function castModel(): Model {
  const model = smallModel(17, STORES.half), { graph } = model;
  const names = graph.initializer!.filter(({ dataType }) => dataType === FLOAT16).map(({ name }) => name!);
  for (const operation of graph.node!) {
    operation.input = operation.input!.map((name) => names.includes(name) ? `${name}.wide` : name);
  }
  graph.node!.unshift(...names.map((name) => node("Cast", [name], [`${name}.wide`], { to: FLOAT })));
  return model;
}

for (
  const [what, model] of [
    ["half", halfModel()],
    ["half, images included", wholeHalfModel()],
    ["cast", castModel()],
    ["double", smallModel(17, STORES.double)],
  ] as const
) {
  gpuTest(
    `writeOnnx() writes a network of ${what} weights in float32, which ONNX Runtime computes alike`,
    async (gpu) => {
      const network = onnxNetwork(await readOnnxModel(encode(model), what));
      const config = { encoder: what, network, numClasses: CLASSES, height: SIZE, width: SIZE };
      const layouts = layoutModel(config), stored = weightsOf(network.model, network.head);
      assertEquals([layouts.backbone.count, layouts.head.count, layouts.state.count], [120, 25, 8]);
      const weights = weightsFromStateDict(layouts, stored, { head: "require", seed: 0 });
      const set = randomImages(3, config), own = await ownLogits(gpu, config, weights, set);
      for (const fold of [false, true]) {
        const { data } = await runOnnx(exported(config, weights, { fold }), inputOf(set, NORMALISATION), [
          3,
          3,
          SIZE,
          SIZE,
        ]);
        assert(distance(data, own) < 1e-5);
      }
    },
  );
}

Deno.test("writeOnnx() folds no normalisation whose tensors are not floats", async () => {
  const model = smallModel(), { initializer } = model.graph;
  const index = initializer!.findIndex(({ name }) => name === "bn.bias");
  initializer![index] = integers("bn.bias", [1, 0, 2, 0]);
  const network = onnxNetwork(await readOnnxModel(encode(model), "small"));
  const config = { encoder: "small", network, numClasses: CLASSES, height: SIZE, width: SIZE };
  const stored = weightsOf(network.model, network.head);
  const weights = weightsFromStateDict(layoutModel(config), stored, { head: "require", seed: 0 });
  assertEquals(operatorsIn(exported(config, weights, { fold: true })).BatchNormalization, 1);
});

Deno.test("writeOnnx() and readOnnxModel() give back every weight, bit for bit, and the order of parameters", async () => {
  for (const name of ["resnet20", "resnet18", ...IMPORTED]) {
    const { config, weights } = await classifier(name);
    const network = onnxNetwork(await readOnnxModel(exported(config, weights), name));
    const layouts = layoutModel({ ...config, network });
    for (const part of ["backbone", "head", "state"] as const) {
      const required = layoutModel(config)[part].entries.map((entry) => [entry.name, entry.torchShape]);
      assertEquals(layouts[part].entries.map((entry) => [entry.name, entry.torchShape]), required);
    }
    const again = weightsFromStateDict(layouts, weightsOf(network.model, network.head), { head: "require", seed: 0 });
    assertEquals(again, weights);
  }
});

Deno.test("a network that was read back is written as the same bytes", async () => {
  for (const name of ["resnet8_narrow", "mobilenet"]) {
    const { config, weights } = await classifier(name);
    const once = exported(config, weights);
    const network = onnxNetwork(await readOnnxModel(once, name));
    const twice = exported({ ...config, network }, weights);
    assertEquals(twice.findIndex((byte, i) => byte !== once[i]), -1);
    assertEquals(twice.length, once.length);
  }
});

Deno.test("writeOnnx() leaves attributes of imported nodes as they were, types included", async () => {
  for (const name of IMPORTED) {
    const { bytes } = await readOnnxFixture(name);
    const { config, weights } = await imported(name);
    const attributesOf = (file: Uint8Array) =>
      onnxProto.onnx.ModelProto.decode(file).graph!.node!.flatMap(({ opType, output, attribute }) =>
        attribute!.filter((a) => a.name !== "training_mode").map((a) =>
          `${opType} ${output![0]} ${a.name} ${a.type} ${a.f} ${a.i} ${a.s} ${a.floats} ${a.ints} ${a.t?.rawData}`
        )
      ).sort();
    const found = attributesOf(exported(config, weights)), original = new Set(attributesOf(bytes));
    assert(found.length > 10);
    assertEquals(found.filter((attribute) => !original.has(attribute)), []);
  }
});

Deno.test("writeOnnx() states batch, classes, names and facts", () => {
  const config = { encoder: "resnet8_narrow", ...CIFAR }, weights = unevenWeights(config);
  const file = exported(config, weights, {
    normalisation: NORMALISATION,
    classNames: ["cat", "dog"],
    metadata: { source: "resnet8.pth", step: "40" },
  });
  const { graph, opsetImport, metadataProps } = onnxProto.onnx.ModelProto.decode(file);
  assertEquals(opsetImport!.map(({ domain, version }) => [domain, Number(version)]), [["", 17]]);
  const sizes = [...graph!.input!, ...graph!.output!].map(({ name, type }) => [
    name,
    type!.tensorType!.shape!.dim!.map(({ dimParam, dimValue }) => dimParam || Number(dimValue)),
  ]);
  assertEquals(sizes, [["input", ["batch", 3, 32, 32]], ["output", ["batch", 10]]]);
  assertEquals(Object.fromEntries(metadataProps!.map(({ key, value }) => [key, value])), {
    architecture: "resnet8_narrow",
    batch_norm: "kept",
    image_range: "0 to 1",
    image_mean: "0.485,0.456,0.406",
    image_std: "0.229,0.224,0.225",
    image_normalisation: "required of the input",
    classes: '["cat","dog"]',
    source: "resnet8.pth",
    step: "40",
  });
  const layouts = layoutModel(config);
  assertEquals([...readOnnxWeights(file)], [...stateDictFromWeights(layouts, weights)]);
});

Deno.test("a folded file says so to those who look for the network's own weights", () => {
  const config = { encoder: "resnet8_narrow", ...CIFAR };
  const file = exported(config, unevenWeights(config), { fold: true });
  assertThrows(() => readOnnxWeights(file), FormatError, "folded");
});

Deno.test("writeOnnx() ends at the features where there is no head", async () => {
  for (const name of ["resnet8_narrow", "mobilenet"]) {
    const { config, weights: { backbone, state } } = await classifier(name);
    const set = randomImages(2, config);
    const { model } = writeOnnx(config, { backbone, state });
    const found = await runOnnx(model, inputOf(set, NORMALISATION), [2, 3, 32, 32]);
    assertEquals(found.shape, [2, name === "mobilenet" ? 128 : 32]);
    const heads = new Set(layoutModel(config).head.entries.map((entry) => entry.name));
    assertEquals([...readOnnxWeights(model).keys()].filter((key) => heads.has(key)), []);
  }
});

Deno.test("writeOnnx() puts larger tensors into a file beside the model where one would be too large", async () => {
  const { config, weights } = await classifier("resnet20");
  const set = randomImages(2, config), input = inputOf(set, NORMALISATION), shape = [2, 3, 32, 32];
  const whole = exported(config, weights);
  const folder = await Deno.makeTempDir({ prefix: "swagpu-test-" });
  try {
    const split = writeOnnx(config, weights, { dataName: "net.onnx.data", maxBytes: 100_000 });
    assert(split.model.length <= 100_000);
    assert(split.data!.length > whole.length - 100_000);
    Deno.writeFileSync(`${folder}/net.onnx`, split.model);
    Deno.writeFileSync(`${folder}/net.onnx.data`, split.data!);
    const found = await runOnnx(`${folder}/net.onnx`, input, shape);
    assertEquals(found.data, (await runOnnx(whole, input, shape)).data);
    const read = (location: string) => Deno.readFile(`${folder}/${location}`);
    const network = onnxNetwork(await readOnnxModel(split.model, "net", read));
    const state = weightsOf(network.model, network.head);
    assertEquals(weightsFromStateDict(layoutModel(config), state, { head: "require", seed: 0 }), weights);
    assertThrows(() => writeOnnx(config, weights, { maxBytes: 1000 }), RangeError, "at most 1000 fit one file");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("writeOnnx() refuses weights of another network, and a variance below zero where it is to fold", () => {
  const config = { encoder: "resnet8_narrow", ...CIFAR }, weights = unevenWeights(config);
  const other = initialWeights(layoutModel({ ...config, encoder: "resnet8" }), 1);
  assertThrows(() => writeOnnx(config, other), RangeError, "values were given for its backbone, but");
  assertThrows(() => writeOnnx(config, weights, { normaliseInput: true }), RangeError, "no normalisation is given");
  const state = weights.state.slice();
  state[8] = -1;
  assertThrows(() => writeOnnx(config, { ...weights, state }, { fold: true }), RangeError, "the variance of channel 0");
});
