/**
 * What of a file trains, or does not, otherwise than one may expect, and that people are told so.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { planParameters } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { frozenWeights, imageOperands, separatedWeights } from "../../lib/onnx/training_facts.ts";
import { exportRemarks } from "../../tasks/commands/onnx_remarks.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { encode, type Initialiser, type ModelNode, node, smallModel, STORES } from "./small_model.ts";

/** The small model with nodes between its convolution and its BatchNorm, which reads the last of them. */
async function modelWith(tensors: readonly Initialiser[], nodes: readonly ModelNode[]) {
  const model = smallModel();
  model.graph.initializer!.push(...tensors);
  model.graph.node!.splice(1, 0, ...nodes);
  model.graph.node!.find(({ opType }) => opType === "BatchNormalization")!.input![0] = nodes.at(-1)!.output![0];
  return await readOnnxModel(encode(model), "FILE");
}

const vector = (name: string, ...values: number[]) =>
  STORES.raw(name, [values.length, 1, 1], Float32Array.from(values));
const number = (name: string, value: number) => STORES.typed(name, [], Float32Array.of(value));

Deno.test("frozenWeights() names the weights that only functions read, not settings, not what trains", async () => {
  const model = await modelWith(
    [
      vector("logit_scale", 1, 2, 3, 4),
      vector("gate", 1, 2, 3, 4),
      vector("both", 1, 2, 3, 4),
      vector("onnx::Exp_3", 1, 2, 3, 4),
      number("most", 4.6),
      number("exponent", 2),
    ],
    [
      node("Clip", ["logit_scale", "", "most"], ["clipped"]),
      node("Exp", ["clipped"], ["scale"]),
      node("Sigmoid", ["gate"], ["opened"]),
      node("Tanh", ["both"], ["bounded"]),
      node("Exp", ["onnx::Exp_3"], ["constant"]),
      node("Mul", ["conv", "scale"], ["a"]),
      node("Mul", ["a", "opened"], ["b"]),
      node("Mul", ["b", "bounded"], ["c"]),
      node("Add", ["c", "both"], ["d"]),
      node("Mul", ["d", "constant"], ["e"]),
      node("Pow", ["e", "exponent"], ["f"]),
    ],
  );
  assertEquals(frozenWeights(model), ["logit_scale", "gate"]);
  const trained = planParameters(model).map(({ name }) => name);
  assertEquals(["logit_scale", "gate", "both"].map((name) => trained.includes(name)), [false, false, true]);
  assertMatch(exportRemarks(model).join(), /^weights that no layer .* do not train, .*: logit_scale, gate$/);
});

Deno.test("imageOperands() names the tensors that train though they are of the images' normalisation", async () => {
  const model = smallModel(), { graph } = model;
  graph.initializer!.push(
    vector("image.mean", 0.4, 0.5, 0.6),
    vector("image.std", 0.2, 0.3, 0.2),
    vector("scale", 1, 2, 3, 4),
  );
  graph.node!.unshift(
    node("Sub", ["images", "image.mean"], ["centred"]),
    node("Div", ["centred", "image.std"], ["normalised"]),
  );
  graph.node![2].input![0] = "normalised";
  graph.node!.splice(3, 0, node("Mul", ["conv", "scale"], ["scaled"]));
  graph.node![4].input![0] = "scaled";
  const read = await readOnnxModel(encode(model), "FILE");
  assertEquals(imageOperands(read), ["image.mean", "image.std"]);
  assertEquals(planParameters(read).slice(-3).map(({ name }) => name), ["image.mean", "image.std", "scale"]);
  assertMatch(
    exportRemarks(read).join(),
    /^tensors that scale or shift the images themselves train, .*: image\.mean, image\.std$/,
  );
});

Deno.test("separatedWeights() names weights that are stored once, not fresh normalisations", async () => {
  const tied = await modelWith([vector("a.scale", 1, 2, 3, 4), vector("a.fresh", 1, 1, 1, 1)], [
    node("Identity", ["a.scale"], ["b.scale"]),
    node("Identity", ["a.fresh"], ["b.fresh"]),
    ...["a.scale", "b.scale", "a.fresh", "b.fresh"].map((name, i) =>
      node("Mul", [i ? `product${i - 1}` : "conv", name], [`product${i}`])
    ),
  ]);
  assertEquals(planParameters(tied).slice(2).map(({ name }) => name).filter((name) => /scale|fresh/.test(name)), [
    "a.scale",
    "a.fresh",
    "b.scale",
    "b.fresh",
  ]);
  assertEquals(separatedWeights(tied), ["a.scale", "b.scale"]);
  assertMatch(exportRemarks(tied).join(), /^weights that the file holds once train apart, .*: a\.scale, b\.scale$/);
});

Deno.test("exportRemarks() names the outputs that are left out", async () => {
  const model = smallModel();
  model.graph.output!.push({ name: "features" }, { name: "mean" });
  const remarks = exportRemarks(await readOnnxModel(encode(model), "FILE"));
  assertEquals(remarks, ["its first output is taken for the logits; others are left out: features, mean"]);
});

Deno.test("there is nothing to remark on PyTorch's exports as tasks/torchvision_to_onnx.py makes them", async () => {
  assertEquals(exportRemarks(await readOnnxModel(encode(smallModel()), "FILE")), []);
  for (const name of ["functional", "mobilenet", "convnext", "vit", "swin", "densenet"]) {
    const remarks = exportRemarks(await readOnnxModel((await readOnnxFixture(name)).bytes, name));
    assertEquals(remarks, [], name);
  }
});
