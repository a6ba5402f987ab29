/**
 * Which layer of a file is the classifier's head, and what exports did to its weights.
 *
 * @module
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import { isFolded, isTrainingExport } from "../../lib/onnx/export_mode.ts";
import { findHead } from "../../lib/onnx/head.ts";
import { planParameters, workedOutOperands } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { fixture } from "../checkpoint/fixtures.ts";
import {
  CHANNELS,
  CLASSES,
  encode,
  type Model,
  type ModelNode,
  node,
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
