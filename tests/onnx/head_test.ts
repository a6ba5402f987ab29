/**
 * Which layer of a file is the classifier's head, and what exports did to its weights.
 *
 * @module
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FormatError, UsageError } from "../../lib/errors.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { isFolded, isTrainingExport } from "../../lib/onnx/export_mode.ts";
import { findHead } from "../../lib/onnx/head.ts";
import { buildOnnx, onnxNetwork } from "../../lib/onnx/network.ts";
import { planParameters, workedOutOperands } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { fixture } from "../checkpoint/fixtures.ts";
import {
  CHANNELS,
  CLASSES,
  encode,
  integers,
  type Model,
  type ModelNode,
  node,
  SIZE,
  smallModel,
  STORES,
  WEIGHTS,
} from "./small_model.ts";

/** The small classifier with its last node replaced. */
function endingIn(...nodes: readonly ModelNode[]): Model {
  const model = smallModel();
  model.graph.node!.splice(-1, 1, ...nodes);
  return model;
}

async function headOf(model: Model, name?: string) {
  const { node: { name: found, operator }, classAxis, weight, bias, numClasses } = findHead(
    await readOnnxModel(encode(model), "FILE"),
    name,
  );
  return { name: found, operator, classAxis, weight, bias, numClasses };
}

const fc = { weight: "fc.weight", bias: "fc.bias", numClasses: CLASSES };

Deno.test("findHead() finds a Gemm", async () => {
  assertEquals(await headOf(smallModel()), { name: "node_logits", operator: "Gemm", classAxis: 0, ...fc });
});

Deno.test("findHead() finds a product of a transposed weight with a bias added, before a softmax", async () => {
  const model = endingIn(
    node("Transpose", ["fc.weight"], ["matrix"], { perm: [1, 0] }),
    node("MatMul", ["features", "matrix"], ["product"]),
    node("Add", ["fc.bias", "product"], ["sum"]),
    node("Softmax", ["sum"], ["logits"], { axis: 1 }),
  );
  assertEquals(await headOf(model), { name: "node_product", operator: "MatMul", classAxis: 0, ...fc });
});

Deno.test("findHead() finds a 1x1 convolution before the pooling", async () => {
  const model = endingIn(
    node("Conv", ["same", "conv1.weight", "fc.bias"], ["scores"]),
    node("GlobalAveragePool", ["scores"], ["pooled"]),
    node("Flatten", ["pooled"], ["logits"]),
  );
  model.graph!.initializer!.push(STORES.raw("conv1.weight", [CLASSES, CHANNELS, 1, 1], WEIGHTS[6][2]));
  const weight = "conv1.weight";
  assertEquals(await headOf(model), { name: "node_scores", operator: "Conv", classAxis: 0, ...fc, weight });
});

Deno.test("findHead() lists the candidates where the head cannot be told, and takes the one that is named", async () => {
  const model = endingIn(
    node("Gemm", ["features", "fc.weight", "fc.bias"], ["left"], { transB: 1 }),
    node("Gemm", ["features", "fc.weight2", "fc.bias"], ["right"], { transB: 1 }),
    node("Mul", ["left", "right"], ["logits"]),
  );
  model.graph!.initializer!.push(STORES.raw("fc.weight2", [CLASSES, CHANNELS], WEIGHTS[6][2]));
  const read = await readOnnxModel(encode(model), "FILE");
  const { message } = assertThrows(() => findHead(read), UsageError);
  assertStringIncludes(
    message,
    "Cannot tell the head of FILE: the Mul node node_logits stands between it and the logits",
  );
  assertStringIncludes(message, "--head: node_conv, node_right, node_left");
  assertEquals((await headOf(model, "node_right")).weight, "fc.weight2");
  assertEquals((await headOf(model, "left")).weight, "fc.weight");
  for (const name of ["nobody", "node_relu", "node_conv"]) {
    assertStringIncludes(assertThrows(() => findHead(read, name), UsageError).message, "node_right, node_left");
  }
});

Deno.test("findHead() refuses a bias behind a layer that has one, and a bias that is no number for each class", async () => {
  const nodes = [
    node("Gemm", ["features", "fc.weight", "fc.bias"], ["scores"], { transB: 1 }),
    node("Add", ["scores", "more"], ["logits"]),
  ];
  const model = endingIn(...nodes), first = STORES.raw("more", [CLASSES], WEIGHTS[7][2]);
  model.graph!.initializer!.push(first);
  const message = async () => {
    const read = await readOnnxModel(encode(model), "FILE");
    return [undefined, "node_scores"].map((name) => assertThrows(() => findHead(read, name), UsageError).message);
  };
  for (const text of await message()) {
    assertStringIncludes(text, "the Gemm node node_scores has a bias, and more is added to what it gives");
  }
  // A number is added to any classes.
  model.graph!.initializer!.splice(-1, 1, STORES.raw("more", [1], Float32Array.of(2)));
  assertEquals((await headOf(model)).bias, "fc.bias");
  model.graph!.node!.splice(-2, 1, node("MatMul", ["features", "matrix"], ["scores"]));
  model.graph!.node!.unshift(node("Transpose", ["fc.weight"], ["matrix"], { perm: [1, 0] }));
  model.graph!.initializer!.splice(-1, 1, STORES.raw("more", [1, CLASSES], WEIGHTS[7][2]));
  for (const text of await message()) {
    assertStringIncludes(text, "the bias more of the MatMul node node_scores has the shape [1,5]; [5] is required");
  }
});

Deno.test("a reshape to rows of the file's classes behind a 1x1 convolution takes a head of others", async () => {
  const sizes = (name: string) => integers(name, [-1, CLASSES]);
  for (const stored of [true, false]) {
    const model = endingIn(
      node("Conv", ["same", "conv1.weight", "fc.bias"], ["scores"]),
      node("GlobalAveragePool", ["scores"], ["pooled"]),
      node("Reshape", ["pooled", "rows"], ["logits"]),
    );
    model.graph!.initializer!.push(STORES.raw("conv1.weight", [CLASSES, CHANNELS, 1, 1], WEIGHTS[6][2]));
    if (stored) model.graph!.initializer!.push(sizes("rows"));
    else {
      const constant = node("Constant", [], ["rows"]);
      model.graph!.node!.unshift({ ...constant, attribute: [{ name: "value", type: 4, t: sizes("") }] });
    }
    const network = onnxNetwork(await readOnnxModel(encode(model), "FILE"));
    for (const numClasses of [CLASSES, 7]) {
      const graph = new Graph();
      const { logits } = buildOnnx(graph, network, graph.external("images", [2, SIZE, SIZE, 3]), { numClasses });
      assertEquals(logits.shape, [2, numClasses]);
    }
  }
});

Deno.test("planParameters() refuses to replace a head that shares its tensors with another layer", async () => {
  const nodes = (weight: string, bias: string) => [
    node("Gemm", ["features", weight, bias], ["other"], { transB: 1 }),
    node("Gemm", ["features", "fc.weight", "fc.bias"], ["own"], { transB: 1 }),
    node("Concat", ["own", "other"], ["all"], { axis: 0 }),
    node("Slice", ["all", "zero1", "two", "zero1"], ["logits"]),
  ];
  const other = [["fc.weight", "bias2"], ["weight2", "fc.bias"], ["weight2", "bias2"]];
  for (const [weight, bias] of other) {
    const model = endingIn(...nodes(weight, bias));
    model.graph!.initializer!.push(
      STORES.raw("weight2", [CLASSES, CHANNELS], WEIGHTS[6][2]),
      STORES.raw("bias2", [CLASSES], WEIGHTS[7][2]),
      integers("zero1", [0]),
      integers("two", [2]),
    );
    const read = await readOnnxModel(encode(model), "FILE"), head = findHead(read, "node_own");
    assertEquals(planParameters(read, head, CLASSES).filter(({ vector }) => vector === "head").length, 2);
    if (weight === "weight2" && bias === "bias2") {
      planParameters(read, head, 7);
      continue;
    }
    const { message } = assertThrows(() => planParameters(read, head, 7), FormatError);
    assertStringIncludes(message, "Cannot put another head into FILE: the Gemm node node_other reads fc.");
    assertStringIncludes(message, "of its head, the Gemm node node_own, as well");
  }
});

Deno.test("planParameters() puts the head's tensors into its vector, and all into the backbone's without a head", async () => {
  const model = await readOnnxModel(encode(smallModel()), "FILE");
  const vectorsOf = (planned: ReturnType<typeof planParameters>) => planned.map(({ vector }) => vector[0]).join("");
  assertEquals(vectorsOf(planParameters(model, findHead(model), CLASSES)), "bbbbsshh");
  assertEquals(vectorsOf(planParameters(model)), "bbbbssbb");
  assertEquals(planParameters(model, findHead(model), 7).slice(-2).map(({ shape }) => [...shape]), [[7, 4], [7]]);
});

Deno.test("workedOutOperands() names the tensors that an export made of others, not single numbers, not weights", async () => {
  const model = smallModel(), { graph } = model;
  const operands = [["onnx::Add_7", CHANNELS], ["onnx::Mul_8", 1], ["layer_scale", CHANNELS]] as const;
  for (const [name, size] of operands) graph.initializer!.push(STORES.raw(name, [size, 1, 1], new Float32Array(size)));
  graph.node!.splice(
    2,
    0,
    node("Add", ["bn", "onnx::Add_7"], ["sum"]),
    node("Mul", ["sum", "onnx::Mul_8"], ["product"]),
    node("Mul", ["product", "layer_scale"], ["scaled"]),
  );
  graph.node!.find(({ opType }) => opType === "Relu")!.input = ["scaled"];
  const read = await readOnnxModel(encode(model), "FILE");
  assertEquals(workedOutOperands(read), ["onnx::Add_7"]);
  assertEquals(planParameters(read).map(({ name }) => name).includes("layer_scale"), true);
  assertEquals(workedOutOperands(await readOnnxModel(encode(smallModel()), "FILE")), []);
});

Deno.test("isFolded() and isTrainingExport() tell what PyTorch's exports did to the weights", async () => {
  for (const name of ["net.onnx", "net_folded.onnx", "net_training.onnx"]) {
    const model = await readOnnxModel(fixture(name), name);
    assertEquals([isFolded(model), isTrainingExport(model)], [/folded/.test(name), /training/.test(name)], name);
  }
});
