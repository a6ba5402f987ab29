/**
 * What ONNX files may be: opsets, ways of storing tensors, sizes that are open; and what they may not.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { narrowFloat16, widenFloat16 } from "../../lib/checkpoint/half.ts";
import { FormatError } from "../../lib/errors.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { weightsFromStateDict } from "../../lib/models/weights.ts";
import type { ExternalReader } from "../../lib/checkpoint/onnx_external.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { gpuTests } from "../gpu/harness.ts";
import { hashedValues } from "../reference/hashed.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import { tensor } from "../reference/tensor.ts";
import { distance, runNetwork } from "./compare.ts";
import {
  bytesOf,
  CLASSES,
  encode,
  expectedLogits,
  FLOAT,
  FLOAT16,
  imageInput,
  type Initialiser,
  type Model,
  node,
  SIZE,
  smallModel,
  STORES,
} from "./small_model.ts";

const gpuTest = gpuTests();
const ROUNDING = 1e-6;

function images(count: number): Float32Array {
  return hashedValues(7_100_000, count * 3 * SIZE * SIZE, 1);
}

/** Evaluation-mode logits of the first `count` images. */
async function logitsOf(gpu: Gpu, model: Model, count = 3, external?: ExternalReader): Promise<Float32Array> {
  const network = onnxNetwork(await readOnnxModel(encode(model), "FILE", external));
  const batch = { images: nchwToNhwc(tensor([count, 3, SIZE, SIZE], images(count))), labels: new Uint32Array(count) };
  return (await runNetwork(gpu, network, batch)).evalLogits;
}

function classifier(model: Model, external?: ExternalReader) {
  return readOnnxModel(encode(model), "FILE", external).then((read) => ({
    encoder: "small",
    network: onnxNetwork(read),
    numClasses: CLASSES,
    height: SIZE,
    width: SIZE,
  }));
}

/** The message of the error that reading or building a model ends with. */
async function refusal(model: Model, external?: ExternalReader): Promise<string> {
  const { message } = await assertRejects(async () => layoutModel(await classifier(model, external)), FormatError);
  assertEquals(message.includes("\n"), false);
  return message;
}

gpuTest("readOnnxModel() reads opsets 11 to 18, which compute the same", async (gpu) => {
  const expected = expectedLogits(images(3), 3);
  let first: Float32Array | undefined;
  for (let opset = 11; opset <= 18; opset++) {
    const found = await logitsOf(gpu, smallModel(opset));
    assert(distance(found, expected) < ROUNDING, `opset ${opset} differs by ${distance(found, expected)}`);
    first ??= found;
    assertEquals(found, first);
  }
});

gpuTest("readOnnxModel() reads weights however they are stored", async (gpu) => {
  const half = (x: number) => widenFloat16(narrowFloat16(Float32Array.of(x)))[0];
  const exact = await logitsOf(gpu, smallModel());
  for (const store of [STORES.typed, STORES.double]) assertEquals(await logitsOf(gpu, smallModel(14, store)), exact);
  const rounded = expectedLogits(images(3), 3, half);
  assert(distance(exact, rounded) > 1e-5);
  for (const store of [STORES.half, STORES.typedHalf]) {
    assert(distance(await logitsOf(gpu, smallModel(17, store)), rounded) < ROUNDING);
  }
  // Of half precision throughout: its images are, too, but what is computed is not.
  const whole = smallModel(17, STORES.half);
  whole.graph.input = [imageInput(["batch", 3, SIZE, SIZE], FLOAT16)];
  assertEquals(await logitsOf(gpu, whole), await logitsOf(gpu, smallModel(17, STORES.half)));
});

/** Stores every weight in one other file, each with a range of it. */
function external(file: Uint8Array[], location = "folder/small.data") {
  let offset = 0;
  return (name: string, dims: number[], values: Float32Array): Initialiser => {
    const bytes = bytesOf(values);
    file.push(bytes);
    const externalData = [
      { key: "location", value: location },
      { key: "offset", value: String(offset) },
      { key: "length", value: String(bytes.length) },
    ];
    offset += bytes.length;
    return { name, dims, dataType: FLOAT, dataLocation: 1, externalData };
  };
}

gpuTest("readOnnxModel() reads weights that lie in another file, once", async (gpu) => {
  const parts: Uint8Array[] = [], asked: string[] = [];
  const model = smallModel(14, external(parts));
  const file = new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  const read: ExternalReader = (location) => {
    asked.push(location);
    return Promise.resolve(file);
  };
  assertEquals(await logitsOf(gpu, model, 3, read), await logitsOf(gpu, smallModel()));
  assertEquals(asked, ["folder/small.data"]);
  assertStringIncludes(await refusal(model, () => Promise.resolve(file.subarray(1))), "ends at byte");
  assertStringIncludes(await refusal(model), "lies in another file, folder/small.data, which is required");
});

Deno.test("readOnnxModel() asks for no file outside of the model's folder", async () => {
  for (const location of ["../x", "/etc/passwd", "a/../../x", "..\\x", "C:\\x", "\\\\host\\x", "", "a/.."]) {
    let asked = 0;
    const message = await refusal(smallModel(14, external([], location)), () => {
      asked++;
      return Promise.resolve(new Uint8Array(4096));
    });
    assertStringIncludes(message, "a path inside the model's folder is required");
    assertEquals(asked, 0, location);
  }
});

gpuTest("readOnnxModel() keeps the batch open, and an image's logits do not depend on it", async (gpu) => {
  const five = await logitsOf(gpu, smallModel(), 5);
  assert(distance(await logitsOf(gpu, smallModel(), 1), five.subarray(0, CLASSES)) < ROUNDING);
});

Deno.test("readOnnxModel() refuses opsets that it does not know, and says which it does", async () => {
  for (const opset of [10, 19]) {
    assertStringIncludes(await refusal(smallModel(opset)), `it is of opset ${opset}; opsets 11 to 18 can be read`);
  }
});

Deno.test("buildOnnx() names the operator, its node and the supported ones where an operator is not", async () => {
  const model = smallModel();
  model.graph.node![2] = node("Celu", ["bn"], ["relu"]);
  const message = await refusal(model);
  assertStringIncludes(
    message,
    "Cannot import the Celu node node_relu of FILE: the operator is not supported; these are:",
  );
  for (const name of ["Add", "BatchNormalization", "Conv", "Where"]) assertStringIncludes(message, name);
  model.graph.node![2] = { ...node("FusedRelu", ["bn"], ["relu"]), domain: "com.microsoft" };
  assertStringIncludes(await refusal(model), "the com.microsoft.FusedRelu node node_relu");
});

Deno.test("buildOnnx() says what is supported where a node holds graphs, and leaves out those that nothing needs", async () => {
  const model = smallModel();
  const branch = (name: string) => ({ name, type: 5, g: { name, output: [{ name: "y" }] } });
  for (const [operator, ...names] of [["If", "then_branch", "else_branch"], ["Loop", "body"], ["Scan", "body"]]) {
    const holding = { ...node(operator, ["bn"], ["relu"]), attribute: names.map(branch) };
    model.graph.node![2] = holding;
    assertStringIncludes(
      await refusal(model),
      `Cannot import the ${operator} node node_relu of FILE: the operator is not supported; these are: Add, `,
    );
    model.graph.node![2] = node("Relu", ["bn"], ["relu"]);
    model.graph.node!.push({ ...holding, output: [`unneeded ${operator}`] });
    await classifier(model);
  }
});

Deno.test("readOnnxModel() takes one input, of floating-point images", async () => {
  const model = smallModel();
  const { graph } = model;
  const given = graph.input!;
  graph.input = [imageInput(["batch", 3, SIZE, SIZE], 2)];
  assertStringIncludes(await refusal(model), "its input images is of ONNX type 2; floating-point images are required");
  graph.input = [imageInput(["batch", 1, SIZE, SIZE])];
  assertStringIncludes(await refusal(model), "its input images has the shape [?, 1, 8, 8]; images [N, 3, H, W]");
  graph.input = [...given, { name: "mask" }];
  assertStringIncludes(await refusal(model), "its inputs are images, mask; one, of images, is required");
  // Older files list their initialisers among the inputs.
  graph.input = [...given, { name: "conv.weight" }];
  assertEquals(layoutModel(await classifier(model)).backbone.entries[0].name, "conv.weight");
});

Deno.test("weightsOf() gives the weights in the file's order; a fresh head takes the place of one of other classes", async () => {
  const config = await classifier(smallModel());
  const stored = weightsOf(config.network.model, config.network.head);
  const options = { head: "fresh", seed: 1 } as const;
  const own = weightsFromStateDict(layoutModel(config), stored, options);
  const names = ["conv.weight", "conv.bias", "bn.weight", "bn.bias"];
  assertEquals(own.backbone, Float32Array.from(names.flatMap((name) => [...stored.get(name)!.data as Float32Array])));
  assertEquals([...own.head.subarray(0, 4)], [...stored.get("fc.weight")!.data.subarray(0, 4)]);
  const layouts = layoutModel({ ...config, numClasses: 9 });
  const fresh = weightsFromStateDict(layouts, stored, options);
  assertEquals([fresh.backbone, fresh.state], [own.backbone, own.state]);
  assertEquals(layouts.head.entries.map(({ torchShape }) => [...torchShape]), [[9, 4], [9]]);
  assert(fresh.head.every((value) => Math.abs(value) <= 0.5) && new Set(fresh.head).size > 40);
  assertThrows(
    () => weightsFromStateDict(layouts, stored, { ...options, head: "require" }),
    TypeError,
    "another shape",
  );
});
